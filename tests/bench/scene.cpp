#include "bench/scene.h"

#include "support/key_pair.h"
#include "support/ssh_config.h"

namespace jump::bench {

namespace {

test::SshdOptions sshd_options(const SceneOptions& options) {
  test::SshdOptions sshd;
  sshd.config = options.sshd_config;
  sshd.config.push_back("MaxSessions 1000");
  return sshd;
}

}  // namespace

Scene::Scene(const SceneOptions& options) : sshd_(sshd_options(options)) {
  if (options.way) way_.emplace(sshd_.port(), *options.way);
  const test::KeyPair& key = test::user_key(test::KeyKind::kEd25519);
  sshd_.authorize(key);
  const std::uint16_t port = way_ ? way_->port() : sshd_.port();
  test::SshConfigHost bastion{Contender::kBastion, port};
  bastion.identity_file = key.private_path;
  bastion.known_hosts = directory_.write(
      "known_hosts", "[127.0.0.1]:" + std::to_string(port) + " " + sshd_.host_key().public_line + "\n");
  ssh_config_ = directory_.write("ssh_config", test::ssh_config_text({bastion}));
}

}  // namespace jump::bench
