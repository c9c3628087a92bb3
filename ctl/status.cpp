// jumpctl status (and jumpagent status): the agent, its hosts and its forwards.
#include "ctl/verb.h"

namespace jump::ctl {

int show_status(const Options& options) {
  const auto& method = proto::method::kStatus;
  const std::vector<Call> calls = {{{}, proto::encode(proto::Empty{})}};
  return run_calls(options, method.name, calls, options.timeout_or(kDefaultTimeout),
                   render_with(method, render_status));
}

}  // namespace jump::ctl
