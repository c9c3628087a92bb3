// jumpctl close ID|NAME|SPEC…: closes forwards.
#include "ctl/verb.h"

namespace jump::ctl {

int close_forwards(const Options& options) {
  std::vector<Call> calls;
  for (const std::string& forward : options.arguments) {
    calls.push_back({forward, proto::encode(proto::ForwardCloseParams{absolute_spec(forward)})});
  }
  const auto& method = proto::method::kForwardClose;
  const auto text = [](const proto::ForwardCloseResult& result, Style) {
    proto::ForwardStatus closed = result.forward;
    closed.state = "closed";  // whatever it was in before
    closed.error.clear();
    return format_forward(closed) + "\n";
  };
  return run_calls(options, method.name, calls, options.timeout_or(kDefaultTimeout),
                   render_with(method, text));
}

}  // namespace jump::ctl
