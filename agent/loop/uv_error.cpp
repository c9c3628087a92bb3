#include "loop/uv_error.h"

#include <netdb.h>
#include <uv.h>

#include <cerrno>
#include <system_error>

namespace jump {
namespace {

// The resolver's own code, for its own words; 0 when `status` is none of its.
int resolver_code(int status) {
  switch (status) {
    case UV_EAI_AGAIN:
      return EAI_AGAIN;
    case UV_EAI_FAIL:
      return EAI_FAIL;
    case UV_EAI_FAMILY:
      return EAI_FAMILY;
    case UV_EAI_MEMORY:
      return EAI_MEMORY;
    case UV_EAI_NONAME:
      return EAI_NONAME;
    case UV_EAI_SERVICE:
      return EAI_SERVICE;
    case UV_EAI_SOCKTYPE:
      return EAI_SOCKTYPE;
#ifdef EAI_NODATA
    case UV_EAI_NODATA:
      return EAI_NODATA;
#endif
    default:
      return 0;
  }
}

}  // namespace

std::string uv_text(int status) {
  if (int code = resolver_code(status)) return gai_strerror(code);
  if (status <= UV_EAI_ADDRFAMILY || status == UV_EOF) return uv_strerror(status);
  return std::system_category().message(-status);
}

Errc uv_errc(int status) {
  switch (status) {
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECONNABORTED:
    case UV_ENOTCONN:
      return Errc::kClosed;
    case UV_ETIMEDOUT:
      return Errc::kTimeout;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_EHOSTDOWN:
    case UV_ENETDOWN:
    case UV_ECONNREFUSED:
    case UV_EADDRNOTAVAIL:
      return Errc::kUnreachable;
    case UV_EADDRINUSE:
    case UV_EEXIST:
      return Errc::kInUse;
    case UV_EACCES:
    case UV_EPERM:
    case UV_EROFS:
      return Errc::kRefused;
    case UV_ENOENT:
      return Errc::kNotFound;
    case UV_EMFILE:
    case UV_ENFILE:
      return Errc::kLimit;
    case UV_EINVAL:
    case UV_ENAMETOOLONG:
    case UV_ENOTDIR:
      return Errc::kInvalid;
    default:
      return Errc::kInternal;
  }
}

Error uv_error(int status, std::string_view what) {
  return Error{uv_errc(status), std::string(what) + ": " + uv_text(status), {}};
}

Error errno_error(std::string_view what) { return uv_error(-errno, what); }

}  // namespace jump
