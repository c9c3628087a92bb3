// jumpctl disconnect HOST…: ends the connections to hosts.
#include "ctl/verb.h"

namespace jump::ctl {

int disconnect_hosts(const Options& options) {
  std::vector<Call> calls;
  for (const std::string& host : options.arguments) {
    calls.push_back({host, proto::encode(proto::HostDisconnectParams{host})});
  }
  const auto& method = proto::method::kHostDisconnect;
  const auto text = [](const proto::Empty&, Style) { return std::string(); };
  return run_calls(options, method.name, calls, options.timeout_or(kDefaultTimeout),
                   render_with(method, text));
}

}  // namespace jump::ctl
