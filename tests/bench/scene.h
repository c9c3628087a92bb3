// The scene of a measurement: a stock sshd as the bastion, services behind it, perhaps a long way in front of
// it, and both programs logged in, or one after the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/contender.h"
#include "bench/far_end.h"
#include "support/delay_proxy.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump::bench {

struct SceneOptions {
  std::vector<std::string> sshd_config = {};
  std::optional<test::DelayProxyOptions> way = {};
};

class Scene {
 public:
  explicit Scene(const SceneOptions& options = {});

  const FarEnd& far_end() const { return far_end_; }
  std::unique_ptr<Contender> start(Program program) const { return Contender::start(program, ssh_config_); }
  std::unique_ptr<Contender> start_jumpagent(const std::vector<std::string>& options) const {
    return Contender::start_jumpagent(ssh_config_, options);
  }
  const std::string& ssh_config() const { return ssh_config_; }

 private:
  test::TempDir directory_;
  FarEnd far_end_;
  test::Sshd sshd_;
  std::optional<test::DelayProxy> way_;
  std::string ssh_config_;
};

}  // namespace jump::bench
