// jumpctl mux: the socket where stock ssh finds a host's connection.
#include <cstdlib>
#include <filesystem>

#include "ctl/verb.h"

namespace jump::ctl {

int serve_to_ssh(const Options& options) {
  proto::MuxOpenParams params;
  params.host = options.arguments.front();
  std::error_code failed;
  if (!options.path.empty()) params.path = std::filesystem::absolute(options.path, failed);
  const auto& method = proto::method::kMuxOpen;
  return run_calls(
      options, method.name, {{params.host, proto::encode(params)}}, options.timeout_or(kDefaultTimeout),
      render_with(method, [](const proto::MuxOpenResult& result, Style) { return result.path + "\n"; }));
}

}  // namespace jump::ctl
