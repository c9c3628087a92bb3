// Logging in to a real sshd: with each kind of key, from a file and from an ssh-agent, to an open bastion and
// to a hardened one; and every refusal with what a person needs to know to get past it.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"
#include "support/tunnel.h"

namespace jump::test {
namespace {

using ::testing::Combine;
using ::testing::Values;

constexpr const char* kPage = "HTTP/1.0 200 OK\r\n\r\nthe page";

::testing::AssertionResult says(const ProcessResult& result, const std::string& text) {
  if (result.err.find(text) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << text << "' is not in: " << result.describe();
}

// --- up, forward, fetch ---

class LoginWithKey : public ::testing::TestWithParam<std::tuple<KeyKind, bool, bool>> {};
INSTANTIATE_TEST_SUITE_P(Of, LoginWithKey,
                         Combine(Values(KeyKind::kEd25519, KeyKind::kEcdsa256, KeyKind::kRsa3072,
                                        KeyKind::kRsa4096),
                                 Values(false, true), Values(false, true)),
                         [](const auto& which) {
                           return std::string(key_kind_name(std::get<0>(which.param))) +
                                  (std::get<1>(which.param) ? "_from_ssh_agent" : "_from_file") +
                                  (std::get<2>(which.param) ? "_hardened_sshd" : "_open_sshd");
                         });

TEST_P(LoginWithKey, UpForwardFetch) {
  const auto [kind, from_agent, hardened] = GetParam();
  LabOptions options;
  options.user_key = kind;
  options.key_in_ssh_agent = from_agent;
  if (hardened) options.sshd.config = hardened_config();
  Lab lab(options);
  TcpService web(TcpService::say(to_bytes(as_bytes(kPage)), true));
  AgentProcess& agent = lab.cold_agent();

  const ProcessResult up = agent.up();
  ASSERT_TRUE(up.ok()) << up.describe();
  const ReservedPort local;
  const std::string spec = std::to_string(local.number()) + ":127.0.0.1:" + std::to_string(web.port());
  const ProcessResult forward = agent.ctl({"forward", "--via", Lab::kBastion, spec});
  ASSERT_TRUE(forward.ok()) << forward.describe() << "\n--- sshd\n" << lab.sshd().log();

  std::optional<Socket> socket = Socket::connect_tcp(local.number());
  ASSERT_TRUE(socket.has_value());
  ASSERT_TRUE(socket->send_all(std::string_view("GET / HTTP/1.0\r\n\r\n")));
  EXPECT_EQ(socket->receive_exactly(std::string(kPage).size()).text(), kPage);
  EXPECT_NE(lab.sshd().log().find("Accepted publickey"), std::string::npos);
}

// The scene is right: stock ssh gets in with each of these keys, both ways.
TEST(LoginYardstick, StockSshLogsInWithEachKindOfKey) {
  TcpService web(TcpService::say(to_bytes(as_bytes(kPage)), true));
  for (KeyKind kind : {KeyKind::kEd25519, KeyKind::kEcdsa256, KeyKind::kRsa3072}) {
    for (bool from_agent : {false, true}) {
      LabOptions options;
      options.user_key = kind;
      options.key_in_ssh_agent = from_agent;
      options.sshd.config = hardened_config();
      Lab lab(options);
      const Tunnel tunnel(Carrier::kSsh, lab, web.port());
      std::optional<Socket> socket = Socket::connect_tcp(tunnel.port());
      ASSERT_TRUE(socket.has_value());
      EXPECT_EQ(socket->receive_all().text(), kPage) << key_kind_name(kind) << from_agent;
    }
  }
}

// And the refusals are refusals: stock ssh is turned away for the reasons that the agent is to name.
TEST(LoginYardstick, StockSshIsRefusedByWrongKeysOnEitherSide) {
  Lab lab;
  const auto refusal = [](const std::string& config) {
    return run_process({"ssh", "-F", config, "-N", Lab::kBastion}, seconds(20));
  };
  SshConfigHost wrong_key =
      host_for(Lab::kBastion, lab.sshd(), generate_key(KeyKind::kEd25519, lab.directory().file("wrong")),
               lab.known_hosts());
  EXPECT_TRUE(
      says(refusal(lab.directory().write("wrong_key", ssh_config_text({wrong_key}))), "Permission denied"));
  lab.directory().write("known_hosts", "");
  EXPECT_TRUE(says(refusal(lab.ssh_config()), "Host key verification failed"));
}

TEST(Login, OneLoginServesManyForwards) {
  Lab lab;
  TcpService one(TcpService::echo()), two(TcpService::echo());
  lab.agent().forward_port(Lab::kBastion, one.port());
  lab.agent().forward_port(Lab::kBastion, two.port());
  EXPECT_EQ(lab.agent().host_status(Lab::kBastion).at("logins").get<int>(), 1);
  const std::string log = lab.sshd().log();
  const std::size_t first = log.find("Accepted publickey");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("Accepted publickey", first + 1), std::string::npos) << log;
}

TEST(Login, AHostNeedsNoAliasOfItsOwn) {
  Lab lab;
  // As a user who has one "Host *" block and types user@address:port.
  SshConfigHost everyone = host_for("*", lab.sshd(), user_key(KeyKind::kEd25519), lab.known_hosts());
  everyone.port = 0;
  everyone.user = "nobody-by-that-name";
  std::string config = everyone.text();
  config.replace(config.find("  HostName 127.0.0.1\n"), std::string("  HostName 127.0.0.1\n").size(), "");
  AgentProcess agent(lab.directory().write("ssh_config_for_all", config));
  agent.run();
  const std::string host = current_user() + "@127.0.0.1:" + std::to_string(lab.sshd().port());
  const ProcessResult result = agent.ctl({"connect", host});
  EXPECT_TRUE(result.ok()) << result.describe();
  EXPECT_EQ(agent.host_status(host).value("state", ""), "ready") << agent.status().dump(2);
}

TEST(Login, AServerWithSeveralHostKeysIsKnownByAnyOfThem) {
  LabOptions options;
  options.sshd.host_keys = {KeyKind::kRsa3072, KeyKind::kEcdsa256, KeyKind::kEd25519};
  for (std::size_t known = 0; known < options.sshd.host_keys.size(); ++known) {
    Lab lab(options);
    lab.directory().write("known_hosts", "[127.0.0.1]:" + std::to_string(lab.sshd().port()) + " " +
                                             lab.sshd().host_key(known).public_line + "\n");
    const ProcessResult result = lab.agent().ctl({"connect", Lab::kBastion});
    EXPECT_TRUE(result.ok()) << key_kind_name(options.sshd.host_keys[known]) << ": " << result.describe();
  }
}

TEST(Login, AHashedKnownHostsEntryIsFound) {
  Lab lab;
  const ProcessResult hashed = run_process({"ssh-keygen", "-q", "-H", "-f", lab.known_hosts()}, seconds(10));
  ASSERT_TRUE(hashed.ok()) << hashed.describe();
  ASSERT_EQ(read_file(lab.known_hosts()).substr(0, 3), "|1|");
  const ProcessResult result = lab.agent().ctl({"connect", Lab::kBastion});
  EXPECT_TRUE(result.ok()) << result.describe();
}

// --- refusals ---

TEST(LoginRefused, AWrongKeyIsExitOneInTimeAndNamesTheMethodsTried) {
  Lab lab;
  const TempDir other;
  SshConfigHost host = host_for("wrong", lab.sshd(), generate_key(KeyKind::kEd25519, other.file("id_wrong")),
                                lab.known_hosts());
  AgentProcess agent(lab.directory().write("ssh_config_wrong", ssh_config_text({host})));
  agent.run();
  Stopwatch watch;
  const ProcessResult result = agent.ctl({"connect", "wrong"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_LT(to_seconds(watch.elapsed()), 20.0);  // ConnectTimeout of ssh_config_text()
  EXPECT_TRUE(says(result, "wrong"));            // who
  EXPECT_TRUE(says(result, "authentication"));   // what
  EXPECT_TRUE(says(result, "publickey"));        // the method
  EXPECT_TRUE(says(result, "id_wrong"));         // the key
  EXPECT_TRUE(says(result, std::to_string(lab.sshd().port())));
  EXPECT_TRUE(agent.ctl({"status"}).ok());
}

TEST(LoginRefused, AMissingKeyFileIsNamed) {
  Lab lab;
  SshConfigHost host =
      host_for("keyless", lab.sshd(), KeyPair{"/nonexistent/id_none", {}, {}}, lab.known_hosts());
  AgentProcess agent(lab.directory().write("ssh_config_keyless", ssh_config_text({host})));
  agent.run();
  const ProcessResult result = agent.ctl({"connect", "keyless"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(says(result, "authentication"));
}

TEST(LoginRefused, AnUnknownHostKeyIsShownByItsFingerprint) {
  Lab lab;
  lab.directory().write("known_hosts", "");
  const ProcessResult result = lab.agent().ctl({"connect", Lab::kBastion});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(says(result, lab.sshd().host_key().fingerprint));
  EXPECT_TRUE(says(result, "known_hosts"));
  EXPECT_EQ(lab.sshd().log().find("Accepted"), std::string::npos) << "a key was offered to an unknown server";
}

TEST(LoginRefused, AnUnknownHostKeyIsAcceptedOnceItIsKnown) {
  Lab lab;
  lab.directory().write("known_hosts", "");
  ASSERT_EQ(lab.agent().ctl({"connect", Lab::kBastion}).exit_status, 1);
  lab.directory().write("known_hosts", lab.sshd().known_hosts());
  const ProcessResult result = lab.agent().ctl({"connect", Lab::kBastion});
  EXPECT_TRUE(result.ok()) << result.describe();
}

TEST(LoginRefused, AChangedHostKeyIsShownWithBothFingerprints) {
  Lab lab;
  const KeyPair former = generate_key(KeyKind::kEd25519, lab.directory().file("former"));
  lab.directory().write("known_hosts",
                        "[127.0.0.1]:" + std::to_string(lab.sshd().port()) + " " + former.public_line + "\n");
  const ProcessResult result = lab.agent().ctl({"connect", Lab::kBastion});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(says(result, lab.sshd().host_key().fingerprint));
  EXPECT_TRUE(says(result, former.fingerprint));
  EXPECT_TRUE(says(result, lab.known_hosts()));
  EXPECT_EQ(lab.sshd().log().find("Accepted"), std::string::npos);
}

// The key is right, the server just has enough of us: the reason is the server's, not "connection lost".
TEST(LoginRefused, TooManyKeysInTheSshAgentAreNotABrokenConnection) {
  LabOptions options;
  options.sshd.config = {"MaxAuthTries 2"};
  Lab lab(options);
  SshAgent keys;
  const TempDir directory;
  for (int i = 0; i < 4; ++i) {
    keys.add(generate_key(KeyKind::kEd25519, directory.file("id_" + std::to_string(i))));
  }
  SshConfigHost host = host_for("many", lab.sshd(), KeyPair{"none", {}, {}}, lab.known_hosts());
  host.identity_agent = keys.socket();
  AgentProcess agent(lab.directory().write("ssh_config_many", ssh_config_text({host})));
  agent.run();
  const ProcessResult result = agent.ctl({"connect", "many"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(says(result, "uthentication"));
}

TEST(LoginRefused, NobodyListeningIsSaidAtOnce) {
  const ReservedPort nobody;
  const TempDir directory;
  AgentProcess agent(
      directory.write("ssh_config", ssh_config_text({SshConfigHost{"gone", nobody.number()}})));
  agent.run();
  Stopwatch watch;
  const ProcessResult result = agent.ctl({"connect", "gone"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_LT(to_seconds(watch.elapsed()), 15.0);
  EXPECT_TRUE(says(result, std::to_string(nobody.number())));
  EXPECT_TRUE(says(result, "refused"));
}

TEST(LoginRefused, AForwardOverARefusedLoginIsRefusedWithTheSameReason) {
  Lab lab;
  lab.directory().write("known_hosts", "");
  const ProcessResult result = lab.agent().ctl({"forward", "--via", Lab::kBastion, "0:127.0.0.1:80"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(says(result, lab.sshd().host_key().fingerprint));
}

// What the server refuses per forward (here: all but one target) is an end of that connection, with the
// reason in the forward's status, and no harm to the login.
TEST(LoginRefused, ATargetThatTheServerForbidsIsToldInTheForwardsStatus) {
  LabOptions options;
  options.sshd.config = {"PermitOpen 127.0.0.1:1"};
  Lab lab(options);
  TcpService echo(TcpService::echo());
  const auto forward = lab.agent().open_forward(Lab::kBastion, "0:127.0.0.1:" + std::to_string(echo.port()));
  std::optional<Socket> socket = Socket::connect_tcp(port_of(forward.at("listen")));
  ASSERT_TRUE(socket.has_value());
  EXPECT_TRUE(socket->wait_end(seconds(10)));
  const auto status = lab.agent().forward_status(forward.at("id"));
  EXPECT_EQ(status.at("refused").get<int>(), 1) << status;
  EXPECT_NE(status.at("error").get<std::string>().find("forbids"), std::string::npos) << status;
  EXPECT_EQ(lab.agent().host_status(Lab::kBastion).at("state"), "ready");
  EXPECT_EQ(echo.accepted(), 0u);
}

}  // namespace
}  // namespace jump::test
