#include "support/tunnel.h"

#include "support/eventually.h"
#include "support/setup_error.h"

namespace jump::test {

namespace {
constexpr Duration kLoginDeadline = seconds(20);
}

Tunnel::Tunnel(Carrier carrier, Lab& lab, std::uint16_t target_port) {
  if (carrier == Carrier::kSsh) {
    start_ssh(lab, target_port);
  } else {
    port_ = lab.agent().forward_port(Lab::kBastion, target_port);
  }
}

void Tunnel::start_ssh(Lab& lab, std::uint16_t target_port) {
  reserved_ = std::make_unique<ReservedPort>();
  port_ = reserved_->number();
  const std::string spec = "127.0.0.1:" + std::to_string(port_) + ":127.0.0.1:" + std::to_string(target_port);
  ssh_ = std::make_unique<Process>(std::vector<std::string>{"ssh", "-v", "-F", lab.ssh_config(), "-N", "-o",
                                                            "ExitOnForwardFailure=yes", "-L", spec,
                                                            Lab::kBastion});
  // ssh listens before it says this; connecting to see whether it does would reach the service.
  const bool ready = eventually(
      [this] {
        return ssh_->err().find("Entering interactive session") != std::string::npos || !ssh_->running();
      },
      kLoginDeadline);
  if (!ready || !ssh_->running()) setup_error("ssh -L: " + ssh_->err());
}

}  // namespace jump::test
