// jumpctl list: the forwards, as a table.
#include "ctl/verb.h"

namespace jump::ctl {

int list_forwards(const Options& options) {
  const auto& method = proto::method::kForwardList;
  const auto text = [](const proto::ForwardListResult& result, Style style) {
    return render_forwards(result.forwards, style);
  };
  const std::vector<Call> calls = {{{}, proto::encode(proto::Empty{})}};
  return run_calls(options, method.name, calls, options.timeout_or(kDefaultTimeout),
                   render_with(method, text));
}

}  // namespace jump::ctl
