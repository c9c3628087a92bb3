// An ssh_config for one test: aliases that lead to the test's servers, and nothing of the machine's own
// settings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace jump::test {

// One Host block. Empty members are left out.
struct SshConfigHost {
  std::string alias;
  std::uint16_t port = 0;
  std::string user = {};  // empty: whoever runs the test
  std::string identity_file = {};
  std::string identity_agent = {};      // empty: "none", so no agent is asked
  std::string known_hosts = {};         // path
  std::vector<std::string> lines = {};  // more options
  std::string host_name = "127.0.0.1";

  std::string text() const;
};

std::string ssh_config_text(const std::vector<SshConfigHost>& hosts);

// The login name of whoever runs the test.
std::string current_user();

}  // namespace jump::test
