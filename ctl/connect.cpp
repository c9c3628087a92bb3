// jumpctl connect HOST…: logs in to hosts, all at the same time, and waits until they are ready.
#include <fcntl.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/print.h"
#include "ctl/verb.h"

namespace jump::ctl {

namespace {

// On a terminal it was shown when it happened.
void warn(const Options& options, const proto::HostConnectResult& result) {
  if (result.host.warning.empty() || result.existing) return;
  const int terminal = options.no_input ? -1 : ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal >= 0) ::close(terminal);
  if (terminal < 0) write_err(options.program + ": " + sanitized(result.host.warning) + "\n");
}

}  // namespace

int connect_hosts(const Options& options) {
  const Duration timeout = options.timeout_or(kLoginTimeout);
  std::vector<Call> calls;
  for (const std::string& host : options.arguments) {
    calls.push_back({host, proto::encode(proto::HostConnectParams{host, to_seconds(timeout)})});
  }
  const auto& method = proto::method::kHostConnect;
  const auto text = [&options](const proto::HostConnectResult& result, Style) {
    warn(options, result);
    return format_host(result.host) + "\n";
  };
  return run_calls(options, method.name, calls, timeout + kGrace, render_with(method, text), Login::kMaybe);
}

}  // namespace jump::ctl
