#include "forward/forward_request.h"

#include "base/printable.h"
#include "proto/spec.h"

namespace jump {
namespace {

// `ssh -L` means loopback when no address is given, and every interface when it is empty or "*".
Endpoint listen_endpoint(const proto::ForwardEnd& end) {
  if (end.is_unix()) return Endpoint{{}, 0, end.path};
  return Endpoint{end.host.empty() ? "localhost" : end.host, end.port, {}};
}

Endpoint target_endpoint(const proto::ForwardEnd& end) {
  return end.is_unix() ? Endpoint{{}, 0, end.path} : Endpoint{end.host, end.port, {}};
}

}  // namespace

Result<ForwardRequest> ForwardRequest::parse(std::string_view text) {
  auto spec = proto::parse_forward_spec(
      text, [](const std::string&) -> std::optional<std::uint16_t> { return std::nullopt; });
  if (!spec) return spec.error();
  if (spec->listen.is_unix() && spec->listen.path.front() != '/') {
    return Error{Errc::kInvalid, "the path to listen on must be absolute: " + spec->listen.path, {}};
  }
  ForwardRequest request;
  request.listen = listen_endpoint(spec->listen);
  request.target = target_endpoint(spec->target);
  request.spec = spec->to_string();
  return request;
}

Status check_forward_name(const std::string& name) {
  constexpr std::size_t kMaxName = 64;
  bool id = name.size() > 1 && name[0] == 'f' && name.find_first_not_of("0123456789", 1) == std::string::npos;
  bool plain = printable(name, kMaxName) == name;
  if (!id && plain) return {};
  return Error{Errc::kInvalid, "'" + printable(name, kMaxName) + "' cannot be a forward's name",
               "a name has at most 64 printable ASCII characters and is not an id such as f1"};
}

bool ForwardRequest::same_wish(const ForwardRequest& other) const {
  return listen == other.listen && target == other.target && spec == other.spec && via == other.via &&
         name == other.name && prewarm == other.prewarm;
}

}  // namespace jump
