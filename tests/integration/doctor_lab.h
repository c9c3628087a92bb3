// The scene of the doctor's tests: a bastion and an ssh_config, well until the test breaks it, the agent, and
// what `jumpctl doctor` said of it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/agent_process.h"
#include "support/lab.h"

namespace jump::test {

// What `jumpctl --json doctor HOST` said.
struct Report {
  ProcessResult result;
  nlohmann::json document;

  // "HOP/STEP" of all steps with that outcome, in order.
  std::vector<std::string> with(const std::string& outcome) const {
    std::vector<std::string> out;
    for (const nlohmann::json& step : document.at("steps")) {
      if (step.at("outcome") == outcome)
        out.push_back(step.at("hop").get<std::string>() + "/" + step.at("step").get<std::string>());
    }
    return out;
  }
  std::vector<std::string> failed() const { return with("failed"); }
  // "DETAIL -> ADVICE" of the first such step; empty: there is none.
  std::string text(const std::string& place, const std::string& outcome = "failed") const {
    for (const nlohmann::json& step : document.at("steps")) {
      const std::string name = step.at("hop").get<std::string>() + "/" + step.at("step").get<std::string>();
      if (name == place && step.at("outcome") == outcome)
        return step.at("detail").get<std::string>() + " -> " + step.at("advice").get<std::string>();
    }
    return {};
  }
};

class DoctorLab : public testing::Test {
 protected:
  explicit DoctorLab(SshdOptions options = {}) : sshd_(std::make_unique<Sshd>(std::move(options))) {
    sshd_->authorize(key_);
    directory_.write("known_hosts", sshd_->known_hosts());
  }

  // A Host block that leads to `sshd`, all being well.
  SshConfigHost well(const std::string& alias, const Sshd& sshd, std::vector<std::string> lines = {}) {
    SshConfigHost host = host_for(alias, sshd, key_, directory_.file("known_hosts"));
    host.lines = std::move(lines);
    return host;
  }
  SshConfigHost well(std::vector<std::string> lines = {}) {
    return well("bastion", *sshd_, std::move(lines));
  }
  // Another server, known to us.
  std::unique_ptr<Sshd> server(SshdOptions options = {}) {
    auto sshd = std::make_unique<Sshd>(std::move(options));
    sshd->authorize(key_);
    know(*sshd);
    return sshd;
  }
  void know(const Sshd& sshd) {
    directory_.write("known_hosts", read_file(directory_.file("known_hosts")) + sshd.known_hosts());
  }
  // In place of the one that is there.
  void serve(SshdOptions options) {
    sshd_ = std::make_unique<Sshd>(std::move(options));
    sshd_->authorize(key_);
    directory_.write("known_hosts", sshd_->known_hosts());
  }
  // A copy of the user's key that may be mistreated.
  std::string copy_of_key(const std::string& name, mode_t mode = 0600) {
    return directory_.write(name, read_file(key_.private_path), mode);
  }

  AgentProcess& agent(const std::vector<SshConfigHost>& hosts) {
    agent_ = std::make_unique<AgentProcess>(directory_.write("config", ssh_config_text(hosts)), environment_);
    agent_->run();
    return *agent_;
  }
  Report diagnose(const std::vector<SshConfigHost>& hosts, const std::string& host = "bastion",
                  std::vector<std::string> more = {}) {
    agent(hosts);
    return diagnose_again(host, std::move(more));
  }
  Report diagnose_again(const std::string& host = "bastion", std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"--json", "doctor", host};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Report report{agent_->ctl(arguments), {}};
    report.document = nlohmann::json::parse(report.result.out, nullptr, false);
    if (report.document.is_discarded() || !report.document.contains("steps")) {
      ADD_FAILURE() << report.result.describe();
      report.document = {{"healthy", false}, {"steps", nlohmann::json::array()}};
    }
    EXPECT_EQ(report.result.exit_status, report.document.at("healthy") ? 0 : 1) << report.result.describe();
    EXPECT_EQ(report.document.at("healthy").get<bool>(), report.failed().empty()) << report.document.dump(1);
    return report;
  }

  TempDir directory_;
  const KeyPair& key_ = user_key(KeyKind::kEd25519);
  std::unique_ptr<Sshd> sshd_;
  Environment environment_;
  std::unique_ptr<AgentProcess> agent_;
};

#define EXPECT_FAILED(report, ...) \
  EXPECT_EQ((report).failed(), (std::vector<std::string>{__VA_ARGS__})) << (report).document.dump(1)

}  // namespace jump::test
