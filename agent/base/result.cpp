#include "base/result.h"

namespace jump {

std::string_view errc_name(Errc code) {
  switch (code) {
    case Errc::kInvalid:
      return "invalid";
    case Errc::kNotFound:
      return "not_found";
    case Errc::kInUse:
      return "in_use";
    case Errc::kRefused:
      return "refused";
    case Errc::kUnreachable:
      return "unreachable";
    case Errc::kTimeout:
      return "timeout";
    case Errc::kNeedsPerson:
      return "needs_person";
    case Errc::kCancelled:
      return "cancelled";
    case Errc::kAuth:
      return "auth";
    case Errc::kHostKey:
      return "host_key";
    case Errc::kProtocol:
      return "protocol";
    case Errc::kClosed:
      return "closed";
    case Errc::kReplaced:
      return "replaced";
    case Errc::kLimit:
      return "limit";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kInternal:
      return "internal";
  }
  return "internal";
}

}  // namespace jump
