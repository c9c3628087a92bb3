// jumpctl connect HOST…: logs in to hosts, all at the same time, and waits until they are ready.
#include "ctl/verb.h"

namespace jump::ctl {

int connect_hosts(const Options& options) {
  const Duration timeout = options.timeout_or(kLoginTimeout);
  std::vector<Call> calls;
  for (const std::string& host : options.arguments) {
    calls.push_back({host, proto::encode(proto::HostConnectParams{host, to_seconds(timeout)})});
  }
  const auto& method = proto::method::kHostConnect;
  const auto text = [](const proto::HostConnectResult& result, Style) {
    return format_host(result.host) + "\n";
  };
  return run_calls(options, method.name, calls, timeout + kGrace, render_with(method, text),
                   Login::kMaybe);
}

}  // namespace jump::ctl
