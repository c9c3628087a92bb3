// jumpctl forward [--via HOST] [--name N] SPEC…: opens forwards, and says where they listen.
#include <fmt/core.h>

#include "ctl/verb.h"
#include "proto/spec.h"

namespace jump::ctl {

int open_forwards(const Options& options) {
  const Duration timeout = options.timeout_or(kLoginTimeout);
  std::vector<Call> calls;
  for (const std::string& spec : options.arguments) {  // before anything is opened
    const Result<proto::ForwardSpec> parsed = proto::parse_forward_spec(spec);
    if (!parsed.ok()) return fail(options, parsed.error(), kExitUsage, proto::kInvalidParams);
  }
  for (const std::string& spec : options.arguments) {
    const proto::ForwardOpenParams params{absolute_spec(spec), options.via, options.name, options.prewarm,
                                          to_seconds(timeout)};
    calls.push_back({spec, proto::encode(params)});
  }
  const auto& method = proto::method::kForwardOpen;
  const auto text = [](const proto::ForwardOpenResult& result, Style) {
    return fmt::format("{}{}\n", format_forward(result.forward), result.existing ? ", was open already" : "");
  };
  return run_calls(options, method.name, calls, timeout + kGrace, render_with(method, text),
                   Login::kMaybe);
}

}  // namespace jump::ctl
