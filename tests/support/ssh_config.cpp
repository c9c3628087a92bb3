#include "support/ssh_config.h"

#include <pwd.h>
#include <unistd.h>

#include "support/setup_error.h"

namespace jump::test {

std::string current_user() {
  const passwd* me = ::getpwuid(::getuid());
  if (!me) setup_error("this user has no name");
  return me->pw_name;
}

std::string SshConfigHost::text() const {
  std::string out = "Host " + alias + "\n";
  auto option = [&out](const std::string& name, const std::string& value) {
    out += "  " + name + " " + value + "\n";
  };
  for (const std::string& line : lines) out += "  " + line + "\n";
  option("HostName", host_name);
  if (port) option("Port", std::to_string(port));
  option("User", user.empty() ? current_user() : user);
  option("IdentityFile", identity_file.empty() ? "none" : identity_file);
  option("IdentityAgent", identity_agent.empty() ? "none" : identity_agent);
  if (!known_hosts.empty()) option("UserKnownHostsFile", known_hosts);
  return out;
}

std::string ssh_config_text(const std::vector<SshConfigHost>& hosts) {
  std::string out;
  for (const SshConfigHost& host : hosts) out += host.text();
  out +=
      "Host *\n"
      "  GlobalKnownHostsFile /dev/null\n"
      "  StrictHostKeyChecking yes\n"
      "  BatchMode yes\n"
      "  ConnectTimeout 20\n";
  return out;
}

}  // namespace jump::test
