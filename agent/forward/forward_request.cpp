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

Result<std::vector<ForwardRequest>> ForwardRequest::parse_all(ForwardKind kind, std::string_view text) {
  auto specs = proto::parse_forward_specs(
      kind, text, [](const std::string&) -> std::optional<std::uint16_t> { return std::nullopt; });
  if (!specs) return specs.error();
  std::vector<ForwardRequest> requests;
  for (const proto::ForwardSpec& spec : *specs) {
    ForwardRequest request;
    request.kind = spec.kind;
    request.listen = listen_endpoint(spec.listen);
    if (spec.target) request.target = target_endpoint(*spec.target);
    request.spec = spec.to_string();
    // The other end's directory is its own business.
    const bool target_here = request.listens_there();
    const Endpoint here = target_here ? request.target.value_or(Endpoint{}) : request.listen;
    if (here.is_unix() && here.path.front() != '/') {
      const char* what = target_here ? "the path to connect to" : "the path to listen on";
      return Error{Errc::kInvalid, std::string(what) + " must be absolute: " + here.path, {}};
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

Result<ForwardRequest> ForwardRequest::parse(ForwardKind kind, std::string_view text) {
  auto requests = parse_all(kind, text);
  if (!requests) return requests.error();
  if (requests->size() == 1) return std::move(requests->front());
  return Error{Errc::kInvalid, "a range of ports is several forwards: " + std::string(text),
               "ask for them one by one"};
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
  return kind == other.kind && listen == other.listen && target == other.target && spec == other.spec &&
         via == other.via && name == other.name && prewarm == other.prewarm;
}

}  // namespace jump
