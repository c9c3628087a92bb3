// Any text is either a forward, whose canonical text parses to the same forward, or an error with a hint.
#include <cstdlib>

#include "base/bytes.h"
#include "proto/spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jump::proto;
  // /etc/services is no part of this, and slow.
  const ServicePort services = [](const std::string& name) -> std::optional<std::uint16_t> {
    if (name == "http") return 80;
    return std::nullopt;
  };
  const auto spec = parse_forward_spec(jump::as_text({data, size}), services);
  if (!spec.ok()) {
    if (spec.error().message.empty() || spec.error().hint.empty()) std::abort();
    return 0;
  }
  if (spec->target.port == 0 && !spec->target.is_unix()) std::abort();
  const auto again = parse_forward_spec(spec->to_string(), services);
  if (!again.ok() || !(*again == *spec) || again->to_string() != spec->to_string()) std::abort();
  return 0;
}
