// Logins that cannot succeed, from jumpctl to the server: each ends in one line that names the host and the
// cause, with exit status 1 and in bounded time, and leaves nothing half-open in the agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "support/black_hole.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Matcher;

constexpr Duration kSoon = seconds(18);  // for what takes no waiting, or 2 s of it; ConnectTimeout is 20

// Sockets of this machine that lead to a port of 127.0.0.1 and that a process still holds.
std::size_t sockets_to(std::uint16_t port) {
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  std::size_t count = 0;
  while (std::getline(table, line)) {
    // sl local remote st tx:rx tr:when retransmits uid timeout inode
    std::istringstream fields(line);
    std::string skip, remote, inode;
    fields >> skip >> skip >> remote >> skip >> skip >> skip >> skip >> skip >> skip >> inode;
    const unsigned long number = std::stoul(remote.substr(remote.find(':') + 1), nullptr, 16);
    if (number == port && inode != "0") ++count;
  }
  return count;
}

// A server's own view, too: one that the agent let go of has ended.
class Failure : public ::testing::Test {
 protected:
  static SshConfigHost direct(const std::string& alias, std::uint16_t port,
                              std::vector<std::string> lines = {}) {
    SshConfigHost host{alias, port};
    host.lines = std::move(lines);
    return host;
  }
  static SshConfigHost behind_bastion(const std::string& alias, std::uint16_t port,
                                      std::vector<std::string> lines = {}) {
    lines.push_back("ProxyJump bastion");
    return direct(alias, port, std::move(lines));
  }
  // To the lab's own server, with its key.
  SshConfigHost known(const std::string& alias, std::vector<std::string> lines = {}) {
    SshConfigHost host = host_for(alias, lab->sshd(), user_key(KeyKind::kEd25519), lab->known_hosts());
    host.lines = std::move(lines);
    return host;
  }

  // The agent, with these hosts beside the bastion, and one failure behind it: what it makes at first use is
  // there.
  void start(std::vector<SshConfigHost> hosts, Environment environment = {}) {
    hosts.push_back(direct("nobody-there", nobody.number()));
    hosts.push_back(known(Lab::kBastion));
    lab->directory().write("ssh_config", ssh_config_text(hosts));
    agent = std::make_unique<AgentProcess>(lab->ssh_config(), std::move(environment));
    agent->run();
    ASSERT_EQ(agent->ctl({"connect", "nobody-there"}).exit_status, 1);
    ASSERT_TRUE(agent->ctl({"connect", Lab::kBastion}).ok());
    end_all();
    EXPECT_TRUE(eventually([&] { return descriptors() == (before = descriptors()); }));
  }
  std::size_t descriptors() { return agent->status().at("agent").at("descriptors"); }
  void end_all() {
    for (const char* name : {"inner", "bastion"}) agent->ctl({"disconnect", name});
  }

  void expect_one_line(const ProcessResult& result, const std::string& host,
                       const Matcher<std::string>& cause) {
    EXPECT_EQ(result.exit_status, 1) << result.describe();
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(result.err.ends_with('\n')) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr(host), cause));
  }
  // `jumpctl connect HOST` fails like that, and nobody goes on with it afterwards.
  void expect_failure(const std::string& host, const Matcher<std::string>& cause, Duration within = kSoon,
                      const std::vector<std::uint16_t>& ports = {}) {
    const Stopwatch watch;
    const ProcessResult result = agent->ctl({"connect", host});
    EXPECT_LT(to_seconds(watch.elapsed()), to_seconds(within)) << result.describe();
    expect_one_line(result, host, cause);
    expect_nothing_left(ports);
  }
  void expect_nothing_left(std::vector<std::uint16_t> ports = {}) {
    nlohmann::json last;
    const auto at_rest = [&] {
      last = agent->status();
      for (const auto& host : last.at("hosts")) {
        const std::string state = host.at("state");
        const bool rests = state == "ready" || state == "down" || state == "idle" || state == "waiting_user";
        if (!rests || host.value("waiting", 0) > 0) return false;
      }
      return last.value("interactions", nlohmann::json::array()).empty();
    };
    EXPECT_TRUE(eventually(at_rest)) << last.dump(2);
    end_all();  // a bastion on the way may well stay connected
    ports.push_back(lab->sshd().port());
    for (const std::uint16_t port : ports)
      EXPECT_TRUE(eventually([&] { return sockets_to(port) == 0; })) << port << " is still connected to";
    EXPECT_TRUE(eventually([&] { return process_descendants(agent->pid()).empty(); })) << "a child is left";
    EXPECT_TRUE(eventually([&] { return descriptors() <= before; })) << before << " -> " << descriptors();
  }

  std::unique_ptr<Lab> lab = std::make_unique<Lab>();
  ReservedPort nobody;
  std::unique_ptr<AgentProcess> agent;
  std::size_t before = 0;
};

// --- the login ---------------------------------------------------------------------------------------------

TEST_F(Failure, AKeyThatIsNotAuthorizedIsPermissionDenied) {
  SshConfigHost host = known("target");
  host.identity_file = generate_key(KeyKind::kEd25519, lab->directory().file("id_wrong")).private_path;
  start({host});
  expect_failure("target",
                 AllOf(HasSubstr("authentication failed"), HasSubstr("id_wrong"), HasSubstr("publickey")));
}

TEST_F(Failure, ThreeWrongPasswordsAreTheEnd) {
  SshdOptions options;
  options.config = {"PasswordAuthentication yes", "AuthenticationMethods password"};
  Sshd strict(options);
  SshConfigHost host = direct("target", strict.port(), {"BatchMode no"});
  host.known_hosts = lab->directory().write("known_strict", strict.known_hosts());
  const std::string askpass = lab->directory().write(
      "askpass", "#!/bin/sh\necho asked >> '" + lab->directory().file("asked") + "'\necho not-the-password\n",
      0700);
  start({host}, {{"SSH_ASKPASS", askpass}, {"SSH_ASKPASS_REQUIRE", "force"}});
  // sshd takes its time over a wrong password.
  expect_failure("target", HasSubstr("tried password (3 times)"), seconds(30), {strict.port()});
  EXPECT_EQ(read_file(lab->directory().file("asked")), "asked\nasked\nasked\n");
}

TEST_F(Failure, AnExpiredCertificateIsNamed) {
  const std::string ca = lab->directory().file("ca"), key = lab->directory().file("id_cert");
  generate_key(KeyKind::kEd25519, ca);
  generate_key(KeyKind::kEd25519, key);
  const ProcessResult made = run_process({"ssh-keygen", "-q", "-s", ca, "-I", "test", "-n", current_user(),
                                          "-V", "20200101:20200201", key + ".pub"},
                                         seconds(20));
  ASSERT_TRUE(made.ok()) << made.describe();
  SshdOptions options;
  options.config = {"TrustedUserCAKeys " + ca + ".pub"};
  Sshd server(options);
  SshConfigHost host = direct("target", server.port());
  host.known_hosts = lab->directory().write("known_cert", server.known_hosts());
  host.identity_file = key;
  start({host});
  expect_failure("target", AllOf(HasSubstr("id_cert-cert.pub"), HasSubstr("expired 2020-")), kSoon,
                 {server.port()});
}

TEST_F(Failure, AKeyThatTheServerRevokedIsNamed) {
  const TempDir directory;
  SshdOptions options;
  options.config = {"RevokedKeys " +
                    directory.write("revoked", user_key(KeyKind::kEd25519).public_line + "\n")};
  Sshd server(options);
  server.authorize(user_key(KeyKind::kEd25519));
  SshConfigHost host = direct("target", server.port());
  host.known_hosts = lab->directory().write("known_revoking", server.known_hosts());
  host.identity_file = user_key(KeyKind::kEd25519).private_path;
  start({host});
  expect_failure("target", AllOf(HasSubstr("authentication failed"), HasSubstr(host.identity_file)), kSoon,
                 {server.port()});
}

// --- the server's key --------------------------------------------------------------------------------------

TEST_F(Failure, AHostKeyThatKnownHostsRevokesIsRefused) {
  SshConfigHost host = known("target");
  host.known_hosts = lab->directory().write(
      "known_revoked", lab->sshd().known_hosts() + "@revoked * " + lab->sshd().host_key().public_line + "\n");
  start({host});
  expect_failure("target", AllOf(HasSubstr("HOST KEY REVOKED"), HasSubstr("known_revoked:2")));
}

TEST_F(Failure, AHostKeyInRevokedHostKeysIsRefused) {
  const std::string list = lab->directory().write("revoked_list", lab->sshd().host_key().public_line + "\n");
  start({known("target", {"RevokedHostKeys " + list})});
  expect_failure("target", AllOf(HasSubstr("HOST KEY REVOKED"), HasSubstr(list)));
}

TEST_F(Failure, AChangedHostKeyIsShownWithBothFingerprintsAndItsLine) {
  const KeyPair former = generate_key(KeyKind::kEd25519, lab->directory().file("former"));
  SshConfigHost host = known("target");
  host.known_hosts =
      lab->directory().write("known_former", "# what was\n[127.0.0.1]:" + std::to_string(lab->sshd().port()) +
                                                 " " + former.public_line + "\n");
  start({host});
  expect_failure("target", AllOf(HasSubstr("HOST KEY CHANGED"), HasSubstr(former.fingerprint),
                                 HasSubstr(lab->sshd().host_key().fingerprint), HasSubstr("known_former:2")));
}

// --- the way there -----------------------------------------------------------------------------------------

TEST_F(Failure, ACycleIsShown) {
  start({direct("ring-a", 1, {"ProxyJump ring-b"}), direct("ring-b", 1, {"ProxyJump ring-c"}),
         direct("ring-c", 1, {"ProxyJump ring-a"})});
  expect_failure("ring-a", HasSubstr("ring-a → ring-b → ring-c → ring-a"));
}

TEST_F(Failure, ANameThatNobodyKnowsIsNamed) {
  start({});
  expect_failure("no-such-host.invalid", HasSubstr("cannot resolve no-such-host.invalid"), seconds(22));
}

TEST_F(Failure, ASecondHopThatRefusesIsNamedWithTheFirst) {
  start({behind_bastion("inner", nobody.number())});
  expect_failure("inner", AllOf(HasSubstr("through bastion"), HasSubstr("refused")), kSoon,
                 {nobody.number()});
}

TEST_F(Failure, ASecondHopThatSwallowsPacketsCostsConnectTimeout) {
  BlackHole hole;
  start({behind_bastion("inner", hole.port(), {"ConnectTimeout 2"})});
  const std::size_t own = sockets_to(hole.port());  // those that fill its backlog
  const Stopwatch watch;
  const ProcessResult result = agent->ctl({"connect", "inner"});
  EXPECT_LT(watch.elapsed(), kSoon);
  expect_one_line(result, "inner", AllOf(HasSubstr("through bastion"), HasSubstr("2 s")));
  expect_nothing_left();
  EXPECT_TRUE(eventually([&] { return sockets_to(hole.port()) <= own; }, seconds(20)));
}

TEST_F(Failure, AFirstHopThatSwallowsPacketsCostsConnectTimeout) {
  BlackHole hole;
  start({direct("outer", hole.port(), {"ConnectTimeout 2"}), direct("target", 1, {"ProxyJump outer"})});
  const std::size_t own = sockets_to(hole.port());
  expect_failure("outer", HasSubstr("within 2 s"), kSoon);
  expect_failure("target", AllOf(HasSubstr("jump host outer"), HasSubstr("within 2 s")), kSoon);
  EXPECT_TRUE(eventually([&] { return sockets_to(hole.port()) <= own; }, seconds(20)));
}

TEST_F(Failure, AFirstHopThatDiesInTheMiddleOfAChainIsTheStory) {
  TcpService silent(TcpService::silent());
  start({behind_bastion("inner", silent.port())});
  Process connect({ctl_program(), "connect", "inner"}, agent->environment());
  ASSERT_TRUE(eventually([&] { return silent.accepted() == 1; }));
  EXPECT_TRUE(eventually([&] { return agent->host_status("inner").at("state") == "exchanging"; }));
  EXPECT_EQ(sockets_to(silent.port()), 1u) << "the bastion's";
  EXPECT_EQ(sockets_to(lab->sshd().port()), 1u);
  const Stopwatch watch;
  lab->sshd().kill_all();
  const std::optional<int> status = connect.wait(kSoon);
  ASSERT_TRUE(status.has_value()) << "it waits for what cannot come";
  EXPECT_TRUE(connect.wait_output_end(kSoon));
  EXPECT_LT(watch.elapsed(), kSoon);
  ProcessResult result;
  result.exit_status = *status;
  result.out = connect.out();
  result.err = connect.err();
  expect_one_line(result, "inner", AllOf(HasSubstr("through bastion"), HasSubstr("closed")));
  expect_nothing_left({silent.port()});
}

// --- ProxyCommand ------------------------------------------------------------------------------------------

TEST_F(Failure, AProxyCommandThatDiesAtOnceSaysWhatItSaid) {
  start({direct("target", 22, {"ProxyCommand sh -c 'echo no proxy today >&2; exit 3'"})});
  expect_failure("target",
                 AllOf(HasSubstr("ProxyCommand"), HasSubstr("status 3"), HasSubstr("no proxy today")));
}

TEST_F(Failure, AProxyCommandThatDiesInTheMiddleOfTheHandshakeSaysWhatItSaid) {
  start({direct(
      "target", 22,
      {"ProxyCommand sh -c 'echo SSH-2.0-Proxied_1; head -c 300 >/dev/null; echo lost it >&2; exit 4'"})});
  expect_failure("target", AllOf(HasSubstr("ProxyCommand"), HasSubstr("status 4"), HasSubstr("lost it")));
}

TEST_F(Failure, AProxyCommandThatIsNotThereIsNamed) {
  start({direct("target", 22, {"ProxyCommand /nonexistent/proxy %h"})});
  expect_failure("target", AllOf(HasSubstr("ProxyCommand"), HasSubstr("/nonexistent/proxy")));
}

// --- servers that are none ---------------------------------------------------------------------------------

TEST_F(Failure, AServerThatSaysNothingCostsConnectTimeout) {
  TcpService silent(TcpService::silent());
  start({direct("target", silent.port(), {"ConnectTimeout 2"}),
         behind_bastion("inner", silent.port(), {"ConnectTimeout 2"})});
  expect_failure("target", HasSubstr("no SSH connection within 2 s"), kSoon, {silent.port()});
  expect_failure("inner", HasSubstr("no SSH connection within 2 s through bastion"), kSoon,
                 {silent.port()});
  EXPECT_TRUE(eventually([&] { return silent.open() == 0; }));
}

TEST_F(Failure, AServerThatClosesAtOnceIsSaidToHaveDoneSo) {
  TcpService closing(TcpService::say({}, true));
  start({direct("target", closing.port()), behind_bastion("inner", closing.port())});
  expect_failure("target",
                 HasSubstr("connection closed by the server before it said which SSH version it speaks"),
                 kSoon, {closing.port()});
  expect_failure("inner",
                 HasSubstr("connection closed by the server before it said which SSH version it speaks"),
                 kSoon, {closing.port()});
}

}  // namespace
}  // namespace jump::test
