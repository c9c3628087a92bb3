// Any text is either a forward of a kind, whose canonical text parses to the same forward, or an error with a
// hint; a range is that for each of its forwards.
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
  for (const ForwardKind kind : {ForwardKind::kLocal, ForwardKind::kRemote, ForwardKind::kDynamic}) {
    const auto specs = parse_forward_specs(kind, jump::as_text({data, size}), services);
    if (!specs.ok()) {
      if (specs.error().message.empty() || specs.error().hint.empty()) std::abort();
      continue;
    }
    if (specs->empty() || specs->size() > kMaxPortRange) std::abort();
    for (const ForwardSpec& spec : *specs) {
      if (spec.target && spec.target->port == 0 && !spec.target->is_unix()) std::abort();
      const auto again = parse_forward_specs(kind, spec.to_string(), services);
      if (!again.ok() || again->size() != 1 || !(again->front() == spec)) std::abort();
      if (again->front().to_string() != spec.to_string()) std::abort();
    }
  }
  return 0;
}
