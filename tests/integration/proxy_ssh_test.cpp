// Stock ssh, scp, sftp, rsync and git over `jumpctl proxy`: with nothing but a ProxyCommand in ssh_config,
// everything goes through one connection to the bastion.
#include <gtest/gtest.h>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/on_terminal.h"
#include "support/pattern.h"
#include "support/reserved_port.h"

namespace jump::test {
namespace {

// Hosts node1 … node5 behind the bastion, which for lack of machines are one sshd.
class ProxySsh : public testing::TestWithParam<bool> {
 protected:
  static void SetUpTestSuite() {
    lab_ = new Lab();
    SshdOptions options;
    options.config = {"Subsystem sftp internal-sftp"};
    node_ = new Sshd(options);
    node_->authorize(user_key(KeyKind::kEd25519));
    const std::string known = lab_->directory().write("known_nodes", node_->known_hosts());
    write_config("plain", "proxy", known, "");
    write_config("fdpass", "proxy --fdpass", known, "  ProxyUseFdpass yes\n");
    (void)lab_->agent();
  }
  static void TearDownTestSuite() {
    delete node_;
    delete lab_;
    node_ = nullptr;
    lab_ = nullptr;
  }
  static void write_config(const char* name, const std::string& verb, const std::string& known,
                           const char* more) {
    lab_->directory().write(name, "Host node*\n  HostName 127.0.0.1\n  Port " +
                                      std::to_string(node_->port()) + "\n  User " + current_user() +
                                      "\n  IdentityFile " + user_key(KeyKind::kEd25519).private_path +
                                      "\n  IdentityAgent none\n" + "  UserKnownHostsFile " + known +
                                      "\n  StrictHostKeyChecking yes\n" + "  ProxyCommand " + ctl_program() +
                                      " " + verb + " --via bastion %h %p\n" + more);
  }

  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }
  static std::size_t bastion_logins() { return count(lab_->sshd().log(), "Accepted publickey"); }

  std::string config() const { return lab_->directory().file(GetParam() ? "fdpass" : "plain"); }
  ProcessResult bash(const std::string& script) const {
    Environment env = lab_->agent().environment();
    env["c"] = config();
    env["dir"] = directory_.path();
    env["GIT_SSH_COMMAND"] = "ssh -F " + config();
    env["GIT_CONFIG_NOSYSTEM"] = "1";
    return run_process({"bash", "-c", script}, seconds(250), env);
  }

  TempDir directory_;
  static Lab* lab_;
  static Sshd* node_;
};
Lab* ProxySsh::lab_ = nullptr;
Sshd* ProxySsh::node_ = nullptr;

TEST_P(ProxySsh, CarriesEveryToolOverOneConnection) {
  const std::string file = directory_.write("file", as_text(pattern_bytes(3, 3'000'000)));
  const std::string sum = pattern_sha256(3, 3'000'000);
  const std::pair<const char*, const char*> cases[] = {
      {"ssh", "ssh -F $c node1 'cat; exit 7' < $dir/file | sha256sum; echo ${PIPESTATUS[0]}"},
      {"scp there and back",
       "scp -q -F $c $dir/file node2:$dir/there && scp -q -F $c node2:$dir/there $dir/back && sha256sum < "
       "$dir/back"},
      {"scp, the old protocol", "scp -O -q -F $c $dir/file node2:$dir/old && sha256sum < $dir/old"},
      {"sftp",
       "echo \"get $dir/file $dir/got\" | sftp -q -F $c -b - node3 >/dev/null && sha256sum < $dir/got"},
      {"rsync", "rsync -e \"ssh -F $c\" $dir/file node4:$dir/synced && sha256sum < $dir/synced"},
      {"git",
       "cd $dir && git init -q repo && cp file repo/ && cd repo && git add file && git -c user.name=n -c "
       "user.email=e "
       "commit -qm m && cd .. && git clone -q node5:$dir/repo clone && sha256sum < clone/file"},
  };
  for (const auto& [name, script] : cases) {
    const ProcessResult result = bash(script);
    EXPECT_NE(result.out.find(sum), std::string::npos) << name << ": " << result.describe();
  }
  EXPECT_EQ(bastion_logins(), 1U) << lab_->sshd().log();
}

TEST_P(ProxySsh, CarriesABurstToFiveHosts) {
  const ProcessResult result = bash(
      "for i in $(seq 20); do ssh -F $c node$((i % 5 + 1)) \"echo $i; exit $i\" > $dir/o$i & p[$i]=$!; done\n"
      "for i in $(seq 20); do wait ${p[$i]}; echo \"$? $(cat $dir/o$i)\"; done");
  std::string expected;
  for (int i = 1; i <= 20; ++i) expected += std::to_string(i) + " " + std::to_string(i) + "\n";
  EXPECT_EQ(result.out, expected) << result.describe();
  EXPECT_EQ(bastion_logins(), 1U);
  EXPECT_TRUE(eventually([] { return lab_->agent().status().at("sessions").empty(); }));
}

INSTANTIATE_TEST_SUITE_P(With, ProxySsh, testing::Bool(), [](const auto& each) {
  return std::string(each.param ? "Fdpass" : "StdinAndStdout");
});

// --- errors: one line, and 255

class ProxyError : public testing::Test {
 protected:
  static void expect_one_line(const ProcessResult& result, const std::string& part) {
    EXPECT_EQ(result.exit_status, 255) << result.describe();
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.describe();
    EXPECT_NE(result.err.find(part), std::string::npos) << result.describe();
  }
  Lab lab_;
};

TEST_F(ProxyError, TheTargetRefuses) {
  ReservedPort port;
  expect_one_line(lab_.agent().ctl({"proxy", "--via", "bastion", "127.0.0.1", std::to_string(port.number())}),
                  "Connection refused");
}

TEST_F(ProxyError, AnUnknownTarget) {
  expect_one_line(lab_.agent().ctl({"proxy", "--via", "bastion", "no-such-host.invalid", "22"}),
                  "no-such-host.invalid");
}

TEST_F(ProxyError, AnUnknownHost) {
  expect_one_line(lab_.agent().ctl({"proxy", "--via", "no-such-bastion.invalid", "127.0.0.1", "22"}),
                  "no-such-bastion.invalid");
}

TEST_F(ProxyError, NoAgent) {
  const ProcessResult result = lab_.cold_agent().ctl({"proxy", "--via", "bastion", "127.0.0.1", "22"});
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.describe();
  EXPECT_NE(result.err.find("no agent is running"), std::string::npos) << result.describe();
  EXPECT_NE(result.exit_status, 0);
}

}  // namespace
}  // namespace jump::test
