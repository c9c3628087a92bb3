// jumpctl doctor, against real servers: ways that were broken on purpose, each in one place, from the name in
// ssh_config to the channel through the last hop. See doctor_test.cpp.
#include "integration/doctor_lab.h"
#include "support/black_hole.h"
#include "support/eventually.h"
#include "support/process.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using Strings = std::vector<std::string>;

class DoctorWay : public DoctorLab {};

// --- the network ---

TEST_F(DoctorWay, ANameThatNobodyKnows) {
  SshConfigHost host = well();
  host.host_name = "no-such-host.invalid";
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/dns");
  EXPECT_THAT(report.text("bastion/dns"), AllOf(HasSubstr("no-such-host.invalid"), HasSubstr("HostName")));
}

TEST_F(DoctorWay, AnAliasThatIsNotInTheConfiguration) {
  const Report report = diagnose({well()}, "bastoin.invalid");
  EXPECT_FAILED(report, "bastoin.invalid/dns");
  EXPECT_THAT(report.text("bastoin.invalid/dns"), HasSubstr("check the spelling"));
}

TEST_F(DoctorWay, APortWhereNobodyListens) {
  ReservedPort closed;
  SshConfigHost host = well();
  host.port = closed.number();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/connect");
  EXPECT_THAT(
      report.text("bastion/connect"),
      AllOf(HasSubstr("refused"), HasSubstr("nothing listens on port " + std::to_string(closed.number()))));
}

TEST_F(DoctorWay, AHostThatDropsEverything) {
  BlackHole hole;
  SshConfigHost host = well({"ConnectTimeout 1"});
  host.port = hole.port();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/connect");
  EXPECT_THAT(report.text("bastion/connect"), AllOf(HasSubstr("nothing answers"), HasSubstr("firewall")));
}

TEST_F(DoctorWay, AnHttpServer) {
  TcpService http(
      TcpService::say(to_bytes(as_bytes("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n")), true));
  SshConfigHost host = well();
  host.port = http.port();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/banner");
  EXPECT_THAT(report.text("bastion/banner"), AllOf(HasSubstr("that is an HTTP server"), HasSubstr("Port")));
}

TEST_F(DoctorWay, AServiceThatSaysNothing) {
  TcpService silent(TcpService::silent());
  SshConfigHost host = well({"ConnectTimeout 1"});
  host.port = silent.port();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/banner");
  EXPECT_THAT(report.text("bastion/banner"), HasSubstr("says nothing"));
  EXPECT_NE(report.text("bastion/connect", "ok"), "");
}

TEST_F(DoctorWay, AServerThatHangsUpAtOnce) {
  TcpService hasty(TcpService::say({}, true));
  SshConfigHost host = well();
  host.port = hasty.port();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/banner");
  EXPECT_THAT(report.text("bastion/banner"), HasSubstr("MaxStartups"));
}

TEST_F(DoctorWay, AServerOfSsh1) {
  TcpService old(TcpService::say(to_bytes(as_bytes("SSH-1.5-1.2.27\n")), false));
  SshConfigHost host = well();
  host.port = old.port();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/banner");
  EXPECT_THAT(report.text("bastion/banner"), AllOf(HasSubstr("SSH-1.5-1.2.27"), HasSubstr("SSH 1 only")));
}

TEST_F(DoctorWay, TheLimitForAllOfItIsKept) {
  TcpService silent(TcpService::silent());
  SshConfigHost host = well();
  host.port = silent.port();
  agent({host});
  Stopwatch watch;
  const Report report = diagnose_again("bastion", {"--timeout", "6"});
  EXPECT_LT(watch.elapsed(), seconds(25));
  EXPECT_FAILED(report, "bastion/banner");
  EXPECT_THAT(report.text("bastion/banner"), HasSubstr("not finished within 6 s"));
  EXPECT_TRUE(eventually([&] { return silent.open() == 0; })) << "the connection stayed";
}

TEST_F(DoctorWay, WhenItsClientGoesNothingStays) {
  TcpService silent(TcpService::silent());
  SshConfigHost last = well("last", *sshd_, {"ProxyJump bastion"});
  last.port = silent.port();
  agent({well(), last});
  {
    Process client({ctl_program(), "doctor", "last"}, agent_->environment());
    ASSERT_TRUE(eventually([&] { return silent.open() == 1; })) << client.err();
    client.kill();
  }
  EXPECT_TRUE(eventually([&] { return silent.open() == 0; })) << "the channel stayed";
  EXPECT_TRUE(eventually([this] { return sshd_->session_processes() == 0; }))
      << "the bastion's connection stayed";
}

TEST_F(DoctorWay, AnAgentThatIsShutDownInTheMiddleEndsInGoodOrder) {
  TcpService silent(TcpService::silent());
  SshConfigHost last = well("last", *sshd_, {"ProxyJump bastion"});
  last.port = silent.port();
  agent({well(), last});
  Process client({ctl_program(), "doctor", "last"}, agent_->environment());
  ASSERT_TRUE(eventually([&] { return silent.open() == 1; })) << client.err();
  EXPECT_TRUE(agent_->down().ok());
  EXPECT_EQ(client.wait(seconds(10)), 1) << client.err();
  EXPECT_TRUE(eventually([&] { return silent.open() == 0; })) << "the channel stayed";
}

TEST_F(DoctorWay, AClientThatSendsNoMoreIsToldThatItsDiagnosisEnded) {
  TcpService silent(TcpService::silent());
  SshConfigHost host = well();
  host.port = silent.port();
  agent({host});
  std::optional<Socket> client = Socket::connect_unix(agent_->socket_path());
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send_all(std::string_view(
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.diagnose\",\"params\":{\"host\":\"bastion\"}}\n")));
  ASSERT_TRUE(eventually([&] { return silent.open() == 1; }));
  client->shutdown_write();
  EXPECT_THAT(client->receive_all().text(), HasSubstr("\"kind\":\"closed\""));
  EXPECT_TRUE(eventually([&] { return silent.open() == 0; })) << "the connection stayed";
}

// --- key exchange ---

TEST_F(DoctorWay, AnOldServersKeyExchange) {
  serve({.config = {"KexAlgorithms diffie-hellman-group14-sha1"}});
  const Report report = diagnose({well()});
  EXPECT_FAILED(report, "bastion/kex");
  EXPECT_THAT(report.text("bastion/kex"),
              AllOf(HasSubstr("we offer"), HasSubstr("KexAlgorithms +diffie-hellman-group14-sha1")));
}

TEST_F(DoctorWay, AnOldServersCiphers) {
  serve({.config = {"Ciphers aes128-cbc,3des-cbc"}});
  const Report report = diagnose({well()});
  EXPECT_FAILED(report, "bastion/kex");
  EXPECT_THAT(report.text("bastion/kex"), HasSubstr("Ciphers +aes128-cbc"));
}

TEST_F(DoctorWay, ACipherThatWeDoNotHave) {
  const Report report = diagnose({well({"KexAlgorithms sntrup761x25519-sha512@openssh.com"})});
  EXPECT_THAT(report.failed(), Each(Not(HasSubstr("login")))) << report.document.dump(1);
  ASSERT_EQ(report.failed().size(), 1u);
  EXPECT_THAT(report.text(report.failed().front()), HasSubstr("is supported"));
}

// --- host keys ---

TEST_F(DoctorWay, AnUnknownHostKeyAndNobodyToAsk) {
  directory_.write("known_hosts", "");
  const Report report =
      diagnose({well({"BatchMode no", "StrictHostKeyChecking ask"})}, "bastion", {"--no-input"});
  EXPECT_FAILED(report, "bastion/host_key");
  EXPECT_THAT(report.text("bastion/host_key"),
              AllOf(HasSubstr("unknown"), HasSubstr(sshd_->host_key().fingerprint),
                    HasSubstr("compare the fingerprint")));
}

TEST_F(DoctorWay, AHostKeyThatChanged) {
  const KeyPair former = generate_key(KeyKind::kEd25519, directory_.file("former"));
  directory_.write("known_hosts",
                   "[127.0.0.1]:" + std::to_string(sshd_->port()) + " " + former.public_line + "\n");
  const Report report = diagnose({well()});
  EXPECT_FAILED(report, "bastion/host_key");
  EXPECT_THAT(report.text("bastion/host_key"), AllOf(HasSubstr("CHANGED"), HasSubstr(former.fingerprint),
                                                     HasSubstr(sshd_->host_key().fingerprint),
                                                     HasSubstr("known_hosts:1"), HasSubstr("ssh-keygen -f")));
}

TEST_F(DoctorWay, AHostKeyThatIsRevoked) {
  directory_.write("known_hosts", "@revoked " + sshd_->known_hosts());
  const Report report = diagnose({well()});
  EXPECT_FAILED(report, "bastion/host_key");
  EXPECT_THAT(report.text("bastion/host_key"), AllOf(HasSubstr("REVOKED"), HasSubstr("do not connect")));
}

TEST_F(DoctorWay, AKnownHostsFileThatCannotBeRead) {
  SshConfigHost host = well();
  host.known_hosts = directory_.make_dir("hosts");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/known_hosts", "bastion/host_key");
  EXPECT_THAT(report.text("bastion/known_hosts"), AllOf(HasSubstr("hosts"), HasSubstr("name a file")));
}

// --- forwarding ---

TEST_F(DoctorWay, ForwardingForbiddenOnTheLastHop) {
  serve({.config = {"AllowTcpForwarding no"}});
  const Report report = diagnose({well()});
  EXPECT_FAILED(report, "bastion/forwarding");
  EXPECT_THAT(report.text("bastion/forwarding"),
              AllOf(HasSubstr("AllowTcpForwarding yes"), HasSubstr("PermitOpen")));
}

TEST_F(DoctorWay, ForwardingForbiddenOnTheBastion) {
  serve({.config = {"AllowTcpForwarding no"}});
  auto last = server();
  const Report report = diagnose({well(), well("last", *last, {"ProxyJump bastion"})}, "last");
  EXPECT_FAILED(report, "bastion/forwarding");
  EXPECT_THAT(
      report.text("bastion/forwarding"),
      AllOf(HasSubstr("AllowTcpForwarding yes"), HasSubstr("127.0.0.1:" + std::to_string(last->port()))));
  EXPECT_THAT(report.text("last/connect", "skipped"), HasSubstr("bastion does not let connections through"));
}

TEST_F(DoctorWay, PermitOpenLeavesTheTargetOut) {
  serve({.config = {"PermitOpen none"}});
  auto last = server();
  const Report report = diagnose({well(), well("last", *last, {"ProxyJump bastion"})}, "last");
  EXPECT_FAILED(report, "bastion/forwarding");
  EXPECT_THAT(report.text("bastion/forwarding"), HasSubstr("PermitOpen"));
}

// --- several hops ---

TEST_F(DoctorWay, TheSecondHopsPortIsClosed) {
  ReservedPort closed;
  SshConfigHost last = well("last", *sshd_, {"ProxyJump bastion"});
  last.port = closed.number();
  const Report report = diagnose({well(), last}, "last");
  EXPECT_FAILED(report, "last/connect");
  EXPECT_THAT(report.text("last/connect"), AllOf(HasSubstr("refused"), HasSubstr("as seen from bastion")));
  EXPECT_THAT(report.text("bastion/forwarding", "ok"), HasSubstr("allowed"));
}

TEST_F(DoctorWay, TheBastionDoesNotKnowTheSecondHopsName) {
  SshConfigHost last = well("last", *sshd_, {"ProxyJump bastion"});
  last.host_name = "no-such-host.invalid";
  const Report report = diagnose({well(), last}, "last");
  EXPECT_FAILED(report, "last/connect");
  EXPECT_THAT(report.text("last/connect"), AllOf(HasSubstr("no-such-host.invalid"), HasSubstr("bastion")));
}

TEST_F(DoctorWay, WhatLiesBehindABrokenHopIsNotTried) {
  auto last = server();
  SshConfigHost bastion = well();
  bastion.user = "nobody-by-that-name";
  const Report report = diagnose({bastion, well("last", *last, {"ProxyJump bastion"})}, "last");
  EXPECT_FAILED(report, "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("last/connect", "skipped"), HasSubstr("reached through bastion"));
}

TEST_F(DoctorWay, TheSecondHopsLoginIsTheSecondHops) {
  auto last = server();
  SshConfigHost host = well("last", *last, {"ProxyJump bastion"});
  host.identity_file = generate_key(KeyKind::kEd25519, directory_.file("stranger")).private_path;
  const Report report = diagnose({well(), host}, "last");
  EXPECT_FAILED(report, "last/publickey", "last/login");
}

// --- ssh_config ---

TEST_F(DoctorWay, ProxyJumpsInACircle) {
  auto other = server();
  const Report report =
      diagnose({well({"ProxyJump other"}), well("other", *other, {"ProxyJump bastion"})}, "bastion");
  EXPECT_FAILED(report, "bastion/config");
  EXPECT_THAT(report.text("bastion/config"), AllOf(HasSubstr("circle"), HasSubstr("ProxyJump none")));
}

TEST_F(DoctorWay, ALineThatSshDoesNotUnderstand) {
  const Report report = diagnose({well({"FooBar yes"})});
  EXPECT_FAILED(report, "bastion/config");
  EXPECT_THAT(report.text("bastion/config"), HasSubstr("config"));
}

TEST_F(DoctorWay, ProxyJumpAndProxyCommandBothSet) {
  auto last = server();
  const Report report = diagnose(
      {well(), well("last", *last, {"ProxyJump bastion", "ProxyCommand socat - TCP:elsewhere:22"})}, "last");
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("last/config", "note"),
              AllOf(HasSubstr("ProxyJump bastion"), HasSubstr("ProxyCommand 'socat"), HasSubstr("both set"),
                    HasSubstr("ProxyJump counts"), HasSubstr(directory_.file("config") + ":")));
}

TEST_F(DoctorWay, TheWrongOneOfProxyJumpAndProxyCommandIsToBlame) {
  const Report report = diagnose({well({"ProxyCommand exit 3", "ProxyJump other"}), well("other", *sshd_)});
  EXPECT_FAILED(report, "bastion/config", "bastion/proxy_command");
  EXPECT_THAT(report.text("bastion/config"),
              AllOf(HasSubstr("ProxyCommand counts"), HasSubstr("delete the one")));
}

TEST_F(DoctorWay, AProxyJumpThatHidesAProxyCommandIsToBlameForTheJumpHost) {
  SshConfigHost wrong = well("wrong", *sshd_);
  wrong.host_name = "no-such-host.invalid";
  const Report report = diagnose({well({"ProxyJump wrong", "ProxyCommand exit 3"}), wrong});
  EXPECT_FAILED(report, "wrong/dns", "bastion/config");
  EXPECT_THAT(report.text("bastion/config"), HasSubstr("both set"));
}

TEST_F(DoctorWay, ABlockThatDoesNotApplySetsNothing) {
  auto last = server();
  SshConfigHost other = well("other", *sshd_, {"ProxyCommand exit 3"});
  const Report report = diagnose({well(), other, well("last", *last, {"ProxyJump bastion"})}, "last");
  EXPECT_FAILED(report);
  EXPECT_EQ(report.with("note"), Strings{}) << report.document.dump(1);
}

TEST_F(DoctorWay, AProxyCommandThatDiesSaysWhy) {
  const Report report = diagnose({well({"ProxyCommand sh -c 'echo the gate is shut >&2; exit 4'"})});
  EXPECT_FAILED(report, "bastion/proxy_command");
  EXPECT_THAT(
      report.text("bastion/proxy_command"),
      AllOf(HasSubstr("the gate is shut"), HasSubstr("status 4"), HasSubstr("run the command by hand")));
}

TEST_F(DoctorWay, AProxyCommandThatDoesNotExist) {
  const Report report = diagnose({well({"ProxyCommand no-such-program %h %p"})});
  EXPECT_FAILED(report, "bastion/proxy_command");
  EXPECT_THAT(report.text("bastion/proxy_command"), HasSubstr("PATH that jumpagent was started with"));
}

TEST_F(DoctorWay, AProxyCommandThatCarriesNothing) {
  const Report report = diagnose({well({"ProxyCommand sleep 60", "ConnectTimeout 1"})});
  EXPECT_FAILED(report, "bastion/proxy_command");
  EXPECT_THAT(report.text("bastion/proxy_command"), HasSubstr("begins with SSH-2.0-"));
}

TEST_F(DoctorWay, NoSshProgram) {
  environment_["PATH"] = directory_.make_dir("empty");
  const Report report = diagnose({well()}, "127.0.0.1:" + std::to_string(sshd_->port()));
  ASSERT_FALSE(report.failed().empty());
  EXPECT_THAT(report.failed().front(), HasSubstr("/config"));
  EXPECT_THAT(report.text(report.failed().front()), AllOf(HasSubstr("no 'ssh' program"), HasSubstr("PATH")));
}

}  // namespace
}  // namespace jump::test
