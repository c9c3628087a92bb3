// jumpctl ssh-config: stock ssh and the agent itself follow the lines that it writes, over one login at the
// bastion.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++times;
  return times;
}

// More than a window of the transport.
std::string bulk_text() {
  std::string text;
  while (text.size() < (3U << 20)) text += "line " + std::to_string(text.size()) + "\n";
  return text;
}

// A bastion, and two names for a server behind it.
class SshConfigTest : public ::testing::Test {
 protected:
  SshConfigTest() {
    web_.authorize(user_key(KeyKind::kEd25519));
    known_hosts_ = directory_.write("known", web_.known_hosts());
  }

  // `route` is what the config file's [[route]] says.
  AgentProcess& start(const std::string& route) {
    LabOptions options;
    for (const char* name : {"web1", "web2"})
      options.other_hosts.push_back(host_for(name, web_, user_key(KeyKind::kEd25519), known_hosts_));
    lab_ = std::make_unique<Lab>(options);
    lab_->cold_agent().run({"-c", directory_.write("agent.toml", "[[route]]\n" + route)});
    return lab_->cold_agent();
  }
  ProcessResult ssh(std::vector<std::string> more) {
    more.insert(more.begin(), {"ssh", "-F", lab_->ssh_config(), "-o", "BatchMode=yes"});
    return run_process(std::move(more), seconds(30), lab_->cold_agent().environment());
  }
  std::size_t logins(const Sshd& server) { return count(server.log(), "Accepted publickey"); }

  TempDir directory_;
  Sshd web_{SshdOptions{.config = {"Subsystem sftp internal-sftp"}}};
  std::string known_hosts_;
  std::unique_ptr<Lab> lab_;
};

TEST_F(SshConfigTest, SshAndTheAgentGoOverOneLoginAtTheBastion) {
  AgentProcess& agent = start("to = [\"*\", \"!other.example\", \"10.0.0.0/17\"]\nvia = \"bastion\"\n");
  const std::string before = read_file(lab_->ssh_config());
  ProcessResult installed = agent.ctl({"ssh-config", "--install"});
  ASSERT_TRUE(installed.ok()) << installed.describe();
  EXPECT_EQ(installed.out, lab_->ssh_config() + ": written\n");
  const std::string after = read_file(lab_->ssh_config());
  EXPECT_THAT(after, StartsWith("# >>> jumpagent >>>"));
  EXPECT_THAT(after, HasSubstr("Host * !other.example !bastion\n"));
  EXPECT_THAT(after, HasSubstr("# left out: 10.0.0.0/17"));
  EXPECT_TRUE(after.ends_with("\n" + before)) << after;

  const ProcessResult own = agent.ctl({"exec", "web1", "--", "echo", "own"});
  EXPECT_EQ(own.out, "own\n") << own.describe();
  EXPECT_TRUE(eventually([&] { return process_descendants(agent.pid()).empty(); })) << "no child carries it";
  EXPECT_EQ(agent.host_status("web1").at("via"), "bastion");
  for (const char* host : {"web1", "web2"}) {
    const ProcessResult stock = ssh({host, "echo", "stock"});
    EXPECT_EQ(stock.out, "stock\n") << stock.describe();
  }
  EXPECT_EQ(logins(lab_->sshd()), 1u) << lab_->sshd().log();
  EXPECT_EQ(logins(web_), 3u);
  EXPECT_EQ(ssh({"bastion", "echo", "direct"}).out, "direct\n")
      << "the bastion itself is not sent through itself";
  EXPECT_EQ(logins(lab_->sshd()), 2u);

  EXPECT_EQ(agent.ctl({"ssh-config", "--install"}).out, lab_->ssh_config() + ": as it was\n");
  EXPECT_EQ(read_file(lab_->ssh_config()), after);
}

TEST_F(SshConfigTest, NamedHostsNeedNoRoute) {
  AgentProcess& agent = start("to = [\"10.1.0.0/16\"]\nvia = \"bastion\"\n");
  const ProcessResult printed = agent.ctl({"ssh-config", "--via", "bastion", "web*", "!web9"});
  EXPECT_THAT(printed.out, HasSubstr("Host web* !web9 !bastion\n  ProxyCommand ")) << printed.describe();
  EXPECT_THAT(printed.out, HasSubstr(" proxy --fdpass --via bastion %h %p\n  ProxyUseFdpass yes\n"));
  EXPECT_THAT(agent.ctl({"ssh-config"}).out, HasSubstr("Host 10.1.* !bastion\n"));
  EXPECT_EQ(agent.ctl_json({"ssh-config", "--via", "bastion", "web*", "!web9"}).at("block"), printed.out);
  EXPECT_THAT(agent.ctl({"ssh-config", "--via", "me@bastion:2222", "x"}).out, HasSubstr("Host x !bastion\n"));

  const ProcessResult nobody = agent.ctl({"ssh-config", "web*"});
  EXPECT_EQ(nobody.exit_status, 1);
  EXPECT_THAT(nobody.err, HasSubstr("--via HOST"));
  EXPECT_EQ(agent.ctl({"ssh-config", "--via", "bastion"}).exit_status, 2);
  EXPECT_EQ(agent.ctl({"ssh-config", "--via", "bastion", "a b"}).exit_status, 1);
  const ProcessResult itself = agent.ctl({"ssh-config", "--via", "bastion", "bastion"});
  EXPECT_EQ(itself.exit_status, 1) << itself.describe();
  EXPECT_THAT(itself.err, HasSubstr("bastion is on the way itself"));
}

TEST_F(SshConfigTest, ManyWhoInstallAtOnceAreAllDone) {
  AgentProcess& agent = start("to = [\"web*\"]\nvia = \"bastion\"\n");
  std::vector<std::unique_ptr<Process>> all;
  for (int i = 0; i < 12; ++i) {
    all.push_back(std::make_unique<Process>(
        std::vector<std::string>{ctl_program(), "ssh-config", "--install", "--via", "bastion",
                                 "host" + std::to_string(i)},
        agent.environment()));
  }
  for (const auto& each : all) EXPECT_EQ(each->wait(seconds(60)), 0) << each->err();
  const std::string after = read_file(lab_->ssh_config());
  EXPECT_EQ(count(after, "Host host"), 1u) << after;
}

TEST_F(SshConfigTest, TheSocketThatIsNamedGoesIntoTheLines) {
  AgentProcess& agent = start("to = [\"web*\"]\nvia = \"bastion\"\n");
  const ProcessResult printed = agent.ctl({"--socket", agent.socket_path(), "ssh-config"});
  EXPECT_THAT(printed.out,
              HasSubstr("jumpctl --socket " + agent.socket_path() + " proxy --fdpass --via bastion"));
  ASSERT_TRUE(agent.ctl({"--socket", agent.socket_path(), "ssh-config", "--install"}).ok());
  EXPECT_EQ(agent.ctl({"exec", "web1", "--", "echo", "own"}).out, "own\n");
  EXPECT_EQ(ssh({"web2", "echo", "stock"}).out, "stock\n");
  EXPECT_EQ(logins(lab_->sshd()), 1u);
}

// `mux` of the config file: ssh finds the agent's own connection, each user and port theirs.
TEST_F(SshConfigTest, HostsThatAreServedAreFoundAtTheirSockets) {
  AgentProcess& agent =
      start("to = [\"10.1.0.0/16\"]\nvia = \"bastion\"\n[[host]]\nname = \"web1\"\nmux = true\n");
  const ProcessResult installed = agent.ctl({"ssh-config", "--install"});
  ASSERT_TRUE(installed.ok()) << installed.describe();
  EXPECT_EQ(installed.err, "");
  const std::string after = read_file(lab_->ssh_config());
  EXPECT_THAT(after, HasSubstr("Host web1\n  ControlPath " + agent.socket_dir() +
                               "/mux/%r@%n:%p\n  ControlMaster no\nHost 10.1.* !bastion\n"));
  const auto served = [&] { return ssh({"-O", "check", "web1"}).ok(); };
  ASSERT_TRUE(eventually(served)) << agent.log();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ssh({"web1", "echo", "shared"}).out, "shared\n");
  EXPECT_EQ(run_process({"scp", "-q", "-F", lab_->ssh_config(), directory_.write("file", "text"),
                         "web1:" + directory_.file("copy")},
                        seconds(30))
                .err,
            "");
  EXPECT_EQ(read_file(directory_.file("copy")), "text");
  EXPECT_EQ(logins(web_), 1u) << web_.log();
  EXPECT_FALSE(ssh({"no-such-user@web1", "true"}).ok()) << "that is not the configured user's session";
  EXPECT_EQ(ssh({"web2", "echo", "direct"}).out, "direct\n");
  EXPECT_EQ(logins(web_), 2u);

  EXPECT_EQ(agent.ctl({"ssh-config", "--install"}).out, lab_->ssh_config() + ": as it was\n");
  EXPECT_EQ(read_file(lab_->ssh_config()), after);
  EXPECT_EQ(agent.ctl({"exec", "web1", "--", "echo", "own"}).out, "own\n")
      << "the agent does not look for itself";

  ASSERT_TRUE(agent.ctl({"ssh-config", "--install", "--mux", "web*"}).ok());
  EXPECT_TRUE(agent.down().ok());
  EXPECT_EQ(ssh({"web1", "echo", "alone"}).out, "alone\n") << "without the agent, by itself";
  struct stat there {};
  const std::string sockets = agent.socket_dir() + "/mux";
  EXPECT_TRUE(::stat(sockets.c_str(), &there) != 0 || std::filesystem::is_empty(sockets))
      << "and no master of its own stands in the agent's place";
}

// %C says nothing of ProxyCommand: to ssh these two are one.
TEST_F(SshConfigTest, HostsThatSshTakesForOneAreKeptApart) {
  Sshd other;
  other.authorize(user_key(KeyKind::kEd25519));
  LabOptions options;
  for (const auto& [name, sshd] : {std::pair("first", &web_), std::pair("second", &other)}) {
    std::string known = sshd->known_hosts();
    known.replace(0, known.find(' '), name);
    SshConfigHost host = host_for(name, *sshd, user_key(KeyKind::kEd25519),
                                  directory_.write(std::string("known_") + name, known));
    host.host_name = "192.0.2.1";
    host.port = 22;
    host.lines = {std::string("HostKeyAlias ") + name,
                  "ProxyCommand socat - TCP:127.0.0.1:" + std::to_string(sshd->port())};
    options.other_hosts.push_back(host);
  }
  lab_ = std::make_unique<Lab>(options);
  AgentProcess& agent = lab_->cold_agent();
  agent.run({"-c", directory_.write("mux.toml", "mux = [\"first\", \"second\"]\n")});
  ASSERT_TRUE(agent.ctl({"ssh-config", "--install"}).ok());
  for (const auto& [name, sshd] : {std::pair("first", &web_), std::pair("second", &other)}) {
    const auto served = [&, name = name] { return ssh({"-O", "check", name}).ok(); };
    ASSERT_TRUE(eventually(served)) << agent.log();
    EXPECT_EQ(ssh({name, "echo", "$SSH_CONNECTION", "|", "cut", "-d' '", "-f4"}).out,
              std::to_string(sshd->port()) + "\n");
    const std::string by_hash = "ControlPath=" + agent.socket_dir() + "/mux/%C";
    EXPECT_EQ(ssh({"-o", by_hash, name, "echo", "$SSH_CONNECTION", "|", "cut", "-d' '", "-f4"}).out,
              std::to_string(sshd->port()) + "\n");
    EXPECT_EQ(logins(*sshd), 2u) << "one is the agent's, one where %C leads nowhere";
  }
  // A socket that somebody removed is there again.
  const std::string socket = agent.socket_dir() + "/mux/first";
  ASSERT_TRUE(std::filesystem::remove(socket));
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(socket); }, seconds(20)));
  ASSERT_TRUE(std::filesystem::remove(socket));
  EXPECT_EQ(agent.ctl({"mux", "first"}).out, socket + "\n");
  EXPECT_TRUE(std::filesystem::exists(socket));
}

// What was ambiguous is looked at again when the configuration is.
TEST_F(SshConfigTest, HostsThatAreNoLongerOneToSshAreServedByHashAfterAReload) {
  LabOptions options;
  for (const char* name : {"first", "second"}) {
    SshConfigHost host = host_for(name, web_, user_key(KeyKind::kEd25519), directory_.file("known"));
    host.host_name = "192.0.2.1";
    host.port = 22;
    host.lines = {std::string("HostKeyAlias ") + name, "ProxyCommand socat - TCP:127.0.0.1:" + std::to_string(web_.port())};
    options.other_hosts.push_back(host);
  }
  std::string known = web_.known_hosts();
  known.replace(0, known.find(' '), "first,second");
  directory_.write("known", known);
  lab_ = std::make_unique<Lab>(options);
  AgentProcess& agent = lab_->cold_agent();
  agent.run({"-c", directory_.write("mux.toml", "mux = [\"first\", \"second\"]\n")});
  const auto served = [&](const std::string& name, const std::string& token) {
    return ssh({"-o", "ControlPath=" + agent.socket_dir() + "/mux/" + token, "-O", "check", name}).ok();
  };
  for (const char* name : {"first", "second"}) {
    ASSERT_TRUE(eventually([&] { return served(name, "%r@%n:%p"); })) << agent.log();
    EXPECT_FALSE(served(name, "%C"));
  }
  std::string text = read_file(lab_->ssh_config());
  text.replace(text.rfind("192.0.2.1"), 9, "192.0.2.2");
  std::ofstream(lab_->ssh_config(), std::ios::trunc) << text;
  ASSERT_TRUE(agent.jumpagent({"reload"}).ok());
  for (const char* name : {"first", "second"}) {
    EXPECT_TRUE(eventually([&] { return served(name, "%C"); })) << name << agent.log();
    EXPECT_TRUE(served(name, "%r@%n:%p")) << name;
  }
  // And the other way round.
  text.replace(text.rfind("192.0.2.2"), 9, "192.0.2.1");
  std::ofstream(lab_->ssh_config(), std::ios::trunc) << text;
  ASSERT_TRUE(agent.jumpagent({"reload"}).ok());
  EXPECT_TRUE(eventually([&] { return !served("first", "%C") && !served("second", "%C"); })) << agent.log();
}

TEST_F(SshConfigTest, NamedHostsCanBeMeantForTheSockets) {
  AgentProcess& agent = start("to = [\"10.1.0.0/16\"]\nvia = \"bastion\"\n");
  const ProcessResult printed = agent.ctl({"ssh-config", "--mux", "web1", "db*", "!db9"});
  EXPECT_THAT(printed.out, HasSubstr("Host web1 db* !db9\n  ControlPath ")) << printed.describe();
  EXPECT_THAT(printed.out, Not(HasSubstr("ProxyCommand")));
  EXPECT_THAT(printed.err, HasSubstr("mux = [\"web1\"]"));
  EXPECT_THAT(printed.err, Not(HasSubstr("db")));
  EXPECT_EQ(agent.ctl({"ssh-config", "--mux", "--via", "bastion", "web1"}).exit_status, 2);
  const ProcessResult none = agent.ctl({"ssh-config", "--mux"});
  EXPECT_EQ(none.exit_status, 1);
  EXPECT_THAT(none.err, HasSubstr("--mux HOST"));
}

TEST_F(SshConfigTest, SocketsWithOddPathsAreFound) {
  LabOptions options;
  options.other_hosts = {host_for("web1", web_, user_key(KeyKind::kEd25519), known_hosts_)};
  lab_ = std::make_unique<Lab>(options);
  AgentProcess& agent = lab_->cold_agent();
  const std::string socket = directory_.make_dir("a b#%h\"\\") + "/control.sock";
  const ProcessResult up =
      agent.jumpagent({"up", "--socket", socket, "-F", lab_->ssh_config(), "-c",
                       directory_.write("agent.toml", "mux = [\"web1\"]\n"), "--state", "none"});
  ASSERT_TRUE(up.ok()) << up.describe();
  const ProcessResult printed = agent.ctl({"--socket", socket, "ssh-config"});
  ASSERT_TRUE(printed.ok()) << printed.describe();
  const std::string config = directory_.write("odd_config", printed.out + read_file(lab_->ssh_config()));
  const auto odd = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"ssh", "-F", config, "-o", "BatchMode=yes"});
    return run_process(std::move(more), seconds(30));
  };
  EXPECT_TRUE(eventually([&] {
    return odd({"-O", "check", "web1"}).ok();
  })) << odd({"-G", "web1"}).out
      << agent.log();
  EXPECT_EQ(odd({"web1", "echo", "shared"}).out, "shared\n");
  EXPECT_EQ(logins(web_), 1u);
  EXPECT_TRUE(agent.jumpagent({"down", "--socket", socket}).ok());
}

TEST_F(SshConfigTest, JumpHostsOfTheWayAreExceptedAndDamagedMarksAreRefused) {
  LabOptions options;
  SshConfigHost inner{"inner", 22};
  inner.lines = {"ProxyJump bastion"};
  options.other_hosts = {inner};
  lab_ = std::make_unique<Lab>(options);
  AgentProcess& agent = lab_->agent();
  EXPECT_THAT(agent.ctl({"ssh-config", "--via", "inner", "*"}).out, HasSubstr("Host * !bastion !inner\n"));
  EXPECT_THAT(agent.ctl({"ssh-config"}).err, HasSubstr("no routes"));

  const std::string damaged = "# >>> jumpagent >>> begun\n" + read_file(lab_->ssh_config());
  lab_->directory().write("ssh_config", damaged);
  const ProcessResult refused = agent.ctl({"ssh-config", "--install", "--via", "inner", "*"});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_THAT(refused.err, HasSubstr("begins and has no end"));
  EXPECT_EQ(read_file(lab_->ssh_config()), damaged);
}

TEST_F(SshConfigTest, AllHostsThatANameStandsForAreExceptedAndCarry) {
  LabOptions options;
  SshConfigHost spare{"spare", 22};
  spare.lines = {"ProxyJump gate"};
  options.other_hosts = {spare, host_for("web1", web_, user_key(KeyKind::kEd25519), known_hosts_)};
  lab_ = std::make_unique<Lab>(options);
  AgentProcess& agent = lab_->cold_agent();
  agent.run({"-c", directory_.write("agent.toml",
                                    "[bastion]\nboth = [\"bastion\", \"spare\"]\n"
                                    "[[route]]\nto = [\"*\"]\nvia = \"both\"\n")});
  const ProcessResult installed = agent.ctl({"ssh-config", "--install"});
  ASSERT_TRUE(installed.ok()) << installed.describe();
  EXPECT_THAT(read_file(lab_->ssh_config()), HasSubstr("Host * !bastion !gate !spare !both\n"));
  EXPECT_EQ(ssh({"web1", "echo", "stock"}).out, "stock\n");
  const ProcessResult own = agent.ctl({"exec", "web1", "--", "echo", "own"});
  EXPECT_EQ(own.out, "own\n") << own.describe();
  EXPECT_EQ(logins(lab_->sshd()), 1u);
}

TEST_F(SshConfigTest, FilesAndRepositoriesTravelByTheBlock) {
  AgentProcess& agent = start("to = [\"web*\"]\nvia = \"bastion\"\n");
  ASSERT_TRUE(agent.ctl({"ssh-config", "--install"}).ok());
  const std::string text = bulk_text(), from = directory_.write("from", text);
  const std::string ssh = "ssh -o BatchMode=yes -F " + lab_->ssh_config();
  directory_.make_dir("repository");
  const std::string repository = directory_.file("repository");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"scp", "-q", "-F", lab_->ssh_config(), from, "web1:" + directory_.file("by_scp")},
           {"rsync", "-e", ssh, from, "web2:" + directory_.file("by_rsync")},
           {"git", "init", "-q", "--bare", repository},
           {"git", "-c", "core.sshCommand=" + ssh, "clone", "-q", "web1:" + repository,
            directory_.file("clone")},
       }) {
    if (run_process({"sh", "-c", "command -v " + command.front()}, seconds(10)).exit_status != 0) continue;
    const ProcessResult done = run_process(command, seconds(60), agent.environment());
    EXPECT_TRUE(done.ok()) << command.front() << ": " << done.describe();
    const std::string copy = read_file(directory_.file("by_" + command.front()));
    if (command.front() != "git") {
      EXPECT_TRUE(copy == text) << command.front() << " brought " << copy.size();
    } else if (command.back().ends_with("clone")) {
      EXPECT_NE(read_file(directory_.file("clone/.git/config")), "");
    }
  }
  EXPECT_EQ(logins(lab_->sshd()), 1u);
}

TEST_F(SshConfigTest, AProxyCommandWithoutViaIsRefusedWithTheCure) {
  LabOptions options;
  SshConfigHost web = host_for("web1", web_, user_key(KeyKind::kEd25519), known_hosts_);
  web.lines = {"ProxyCommand jumpctl proxy --fdpass %h %p", "ProxyUseFdpass yes"};
  options.other_hosts = {web};
  lab_ = std::make_unique<Lab>(options);
  const ProcessResult refused = lab_->agent().ctl({"connect", "web1"});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_THAT(refused.err, HasSubstr("add --via HOST"));
}

}  // namespace
}  // namespace jump::test
