// jumpctl doctor, against real servers: ways that are well, keys that are not, and the agent itself. What is
// broken is broken on purpose and in one place: exactly the steps that are to blame fail, on the right hop,
// and the advice names the cure. Ways that are broken are in doctor_way_test.cpp.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "integration/doctor_lab.h"
#include "support/eventually.h"
#include "support/ssh_agent.h"
#include "support/unique_fd.h"

namespace jump::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Strings = std::vector<std::string>;

class Doctor : public DoctorLab {};

// --- well ---

TEST_F(Doctor, OneHopThatIsWellIsSaidToBe) {
  const Report report = diagnose({well()});
  EXPECT_FAILED(report);
  EXPECT_EQ(report.with("note"), Strings{});
  EXPECT_EQ(report.with("ok"),
            (Strings{"bastion/config", "bastion/known_hosts", "bastion/identity", "bastion/connect",
                     "bastion/banner", "bastion/kex", "bastion/host_key", "bastion/publickey",
                     "bastion/login", "bastion/forwarding"}));
  EXPECT_THAT(report.text("bastion/host_key", "ok"), HasSubstr(sshd_->host_key().fingerprint));
  EXPECT_THAT(report.text("bastion/host_key", "ok"), HasSubstr("known_hosts:1"));
  EXPECT_THAT(report.text("bastion/banner", "ok"), HasSubstr("SSH-2.0-OpenSSH"));
  EXPECT_THAT(report.text("bastion/publickey", "ok"), HasSubstr(key_.fingerprint + ": accepted"));
}

TEST_F(Doctor, NothingStaysConnectedAndNoHostIsTouched) {
  const Report report = diagnose({well()});
  EXPECT_FAILED(report);
  EXPECT_TRUE(eventually([this] { return sshd_->session_processes() == 0; })) << sshd_->log();
  EXPECT_EQ(agent_->status().at("hosts").size(), 0u);
}

TEST_F(Doctor, AChainOfThreeIsWalkedHopByHop) {
  auto second = server(), third = server();
  const Report report = diagnose(
      {well(), well("second", *second, {"ProxyJump bastion"}), well("third", *third, {"ProxyJump second"})},
      "third");
  EXPECT_FAILED(report);
  ASSERT_EQ(report.document.at("hops").size(), 3u);
  EXPECT_EQ(report.document.at("hops")[0].at("hop"), "bastion");
  EXPECT_EQ(report.document.at("hops")[2].at("hop"), "third");
  for (const char* hop : {"bastion", "second", "third"}) {
    EXPECT_NE(report.text(std::string(hop) + "/login", "ok"), "") << hop;
    EXPECT_NE(report.text(std::string(hop) + "/forwarding", "ok"), "") << hop;
  }
  EXPECT_THAT(report.text("third/connect", "ok"), HasSubstr("from second"));
  for (Sshd* each : {sshd_.get(), second.get(), third.get()})
    EXPECT_TRUE(eventually([each] { return each->session_processes() == 0; }));
}

TEST_F(Doctor, AProxyCommandThatWorksIsWell) {
  const std::string command = "socat - TCP:127.0.0.1:" + std::to_string(sshd_->port());
  const Report report = diagnose({well({"ProxyCommand " + command})});
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("bastion/proxy_command", "ok"), HasSubstr(command));
}

TEST_F(Doctor, PeopleReadAListWithTheVerdictAtTheEnd) {
  agent({well()});
  const ProcessResult result = agent_->ctl({"doctor", "bastion"});
  EXPECT_EQ(result.exit_status, 0) << result.describe();
  EXPECT_THAT(result.out, HasSubstr("bastion (" + current_user() +
                                    "@127.0.0.1:" + std::to_string(sshd_->port()) + ")\n"));
  EXPECT_THAT(result.out, HasSubstr("  ok    login "));
  EXPECT_TRUE(result.out.ends_with("\nall is well\n")) << result.out;
}

TEST_F(Doctor, PeopleReadWhatFailedAndWhatToDo) {
  SshConfigHost host = well();
  host.identity_file = copy_of_key("open_key", 0644);
  agent({host});
  const ProcessResult result = agent_->ctl({"doctor", "bastion"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_THAT(result.out, HasSubstr("  FAIL  identity "));
  EXPECT_THAT(result.out, HasSubstr("-> chmod 600 " + host.identity_file));
  EXPECT_THAT(result.out, HasSubstr("\nfailed: bastion: identity, bastion: login\n"));
}

TEST_F(Doctor, OptionsThatAreNotHonouredAreNotes) {
  const Report report = diagnose({well({"Compression yes"})});
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("bastion/config", "note"), HasSubstr("Compression"));
}

// --- keys ---

TEST_F(Doctor, AKeyFileThatOthersMayRead) {
  SshConfigHost host = well();
  host.identity_file = copy_of_key("open_key", 0644);
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/identity", "bastion/login");
  EXPECT_THAT(report.text("bastion/identity"),
              AllOf(HasSubstr("0644"), HasSubstr("chmod 600 " + host.identity_file)));
}

TEST_F(Doctor, AnUnusableKeyIsANoteWhereAnotherLetsIn) {
  SshConfigHost host = well({"IdentityFile " + copy_of_key("open_key", 0644)});
  const Report report = diagnose({host});
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("bastion/identity", "note"), HasSubstr("chmod 600"));
}

TEST_F(Doctor, AnIdentityFileThatIsADirectory) {
  SshConfigHost host = well();
  host.identity_file = directory_.make_dir("keys");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/identity", "bastion/login");
  EXPECT_THAT(report.text("bastion/identity"),
              AllOf(HasSubstr("unreadable"), HasSubstr("name the file in it")));
}

TEST_F(Doctor, AKeyFileOfGarbage) {
  SshConfigHost host = well();
  host.identity_file = directory_.write("garbage", "this is no key\n");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/identity", "bastion/login");
  EXPECT_THAT(report.text("bastion/identity"), HasSubstr("ssh-keygen -y -f " + host.identity_file));
}

TEST_F(Doctor, AKeyOfPutty) {
  SshConfigHost host = well();
  host.identity_file = directory_.write("key.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/identity", "bastion/login");
  EXPECT_THAT(report.text("bastion/identity"),
              HasSubstr("puttygen " + host.identity_file + " -O private-openssh"));
}

TEST_F(Doctor, APublicKeyAsIdentityFile) {
  SshConfigHost host = well();
  host.identity_file = directory_.write("id.pub", key_.public_line + "\n");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/identity", "bastion/login");
  EXPECT_THAT(
      report.text("bastion/identity"),
      AllOf(HasSubstr("only a public key"), HasSubstr("wants the private key: " + directory_.file("id"))));
}

TEST_F(Doctor, AnIdentityFileThatIsMissing) {
  SshConfigHost host = well();
  host.identity_file = directory_.file("nowhere");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/identity", "bastion/login");
  EXPECT_THAT(report.text("bastion/identity"),
              AllOf(HasSubstr("no such file"), HasSubstr("correct IdentityFile")));
}

TEST_F(Doctor, AKeyThatTheServerDoesNotKnow) {
  SshConfigHost host = well();
  host.identity_file = generate_key(KeyKind::kEd25519, directory_.file("stranger")).private_path;
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/publickey"), HasSubstr("not accepted"));
  EXPECT_THAT(report.text("bastion/login"),
              AllOf(HasSubstr("ssh-copy-id -i " + host.identity_file + ".pub -F "),
                    HasSubstr("is '" + current_user() + "' the right user")));
}

TEST_F(Doctor, AWrongUser) {
  SshConfigHost host = well();
  host.user = "nobody-by-that-name";
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/login"), HasSubstr("is 'nobody-by-that-name' the right user"));
}

TEST_F(Doctor, AnEncryptedKeyWithNobodyToAsk) {
  SshConfigHost host = well({"BatchMode no"});
  host.identity_file = copy_of_key("locked");
  ASSERT_TRUE(
      run_process({"ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", host.identity_file}, seconds(20))
          .ok());
  const Report report = diagnose({host}, "bastion", {"--no-input"});
  EXPECT_FAILED(report, "bastion/identity", "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/identity"),
              AllOf(HasSubstr("encrypted"), HasSubstr("ssh-add " + host.identity_file)));
  EXPECT_THAT(report.text("bastion/login"),
              AllOf(HasSubstr("passphrase"), HasSubstr("jumpctl in a terminal")));
}

TEST_F(Doctor, WhoRunsItIsAskedForThePassphrase) {
  SshConfigHost host = well({"BatchMode no"});
  host.identity_file = copy_of_key("locked");
  ASSERT_TRUE(
      run_process({"ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", host.identity_file}, seconds(20))
          .ok());
  environment_["SSH_ASKPASS"] = directory_.write("askpass", "#!/bin/sh\necho secret\n", 0700);
  environment_["SSH_ASKPASS_REQUIRE"] = "force";
  const Report report = diagnose({host});
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("bastion/login", "ok"), HasSubstr("by publickey"));
}

TEST_F(Doctor, TooManyKeysForMaxAuthTries) {
  serve({.config = {"MaxAuthTries 1"}});
  SshAgent ssh_agent;
  for (const char* name : {"k1", "k2", "k3"})
    ssh_agent.add(generate_key(KeyKind::kEd25519, directory_.file(name)));
  ssh_agent.add(key_);
  SshConfigHost host = well();
  host.identity_file.clear();
  host.identity_agent = ssh_agent.socket();
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/login"),
              AllOf(HasSubstr("MaxAuthTries"), HasSubstr("IdentitiesOnly yes")));
}

TEST_F(Doctor, GssapiAlone) {
  const Report report = diagnose({well({"PreferredAuthentications gssapi-with-mic"})});
  EXPECT_THAT(report.text("bastion/login"), AllOf(HasSubstr("PreferredAuthentications gssapi-with-mic"),
                                                  HasSubstr("GSSAPI is not supported")));
}

TEST_F(Doctor, TooManyKeysOfTheUsersOwnChoice) {
  serve({.config = {"MaxAuthTries 1"}});
  SshConfigHost host = well({"IdentitiesOnly yes"});
  host.identity_file = generate_key(KeyKind::kEd25519, directory_.file("k1")).private_path;
  for (const char* name : {"k2", "k3"})
    host.lines.push_back("IdentityFile " +
                         generate_key(KeyKind::kEd25519, directory_.file(name)).private_path);
  const Report report = diagnose({host});
  EXPECT_THAT(report.text("bastion/login"), AllOf(HasSubstr("name fewer"), Not(HasSubstr("IdentitiesOnly")),
                                                  Not(HasSubstr("were offered"))));
}

TEST_F(Doctor, AKnownHostsFileThatNothingCanBeAddedTo) {
  directory_.make_dir("known");
  SshConfigHost host = well({"StrictHostKeyChecking accept-new"});
  host.known_hosts = directory_.file("no/such/known");
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/host_key");
  EXPECT_THAT(report.text("bastion/host_key"),
              AllOf(HasSubstr("Failed to add the host"), HasSubstr("UserKnownHostsFile")));
  EXPECT_THAT(report.text("bastion/known_hosts", "note"), HasSubstr("cannot take new keys: No such file"));
}

TEST_F(Doctor, APublicHalfOfAnotherKey) {
  SshConfigHost host = well();
  host.identity_file = copy_of_key("mine");
  directory_.write("mine.pub", generate_key(KeyKind::kEd25519, directory_.file("other")).public_line + "\n");
  const Report report = diagnose({host});
  EXPECT_THAT(report.text("bastion/identity", "note"),
              AllOf(HasSubstr("mine.pub belongs to another key"), HasSubstr("ssh-keygen -y -f ")));
}

// --- certificates ---

class DoctorCertificates : public DoctorLab {
 protected:
  DoctorCertificates() {
    authority_ = generate_key(KeyKind::kEd25519, directory_.file("ca"));
    serve({.config = {"TrustedUserCAKeys " + authority_.private_path + ".pub"}});
    user_ = generate_key(KeyKind::kEd25519, directory_.file("id_user"));
  }
  void sign(const std::string& public_key, const std::string& validity,
            const std::string& principal = current_user()) {
    const ProcessResult signing = run_process({"ssh-keygen", "-q", "-s", authority_.private_path, "-I", "me",
                                               "-n", principal, "-V", validity, public_key},
                                              seconds(20));
    ASSERT_TRUE(signing.ok()) << signing.describe();
  }
  SshConfigHost host() {
    SshConfigHost host = well();
    host.identity_file = user_.private_path;
    return host;
  }
  KeyPair authority_, user_;
};

TEST_F(DoctorCertificates, OneThatHoldsIsWell) {
  sign(user_.private_path + ".pub", "-1d:+1d");
  const Report report = diagnose({host()});
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("bastion/certificate", "ok"), HasSubstr("id_user-cert.pub"));
}

TEST_F(DoctorCertificates, OneForSomebodyElse) {
  sign(user_.private_path + ".pub", "-1h:+1h", "somebody-else");
  const Report report = diagnose({host()});
  const std::string who = "it is for somebody-else, not for " + current_user();
  EXPECT_FAILED(report, "bastion/certificate", "bastion/publickey", "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/certificate"), AllOf(HasSubstr(who), HasSubstr("principal")));
  EXPECT_THAT(report.text("bastion/login"), AllOf(HasSubstr("id_user-cert.pub (" + who),
                                                  HasSubstr("principal"), Not(HasSubstr("ssh-copy-id"))));
}

TEST_F(DoctorCertificates, OneThatHasExpired) {
  sign(user_.private_path + ".pub", "-2d:-1d");
  const Report report = diagnose({host()});
  EXPECT_FAILED(report, "bastion/certificate", "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/certificate"),
              AllOf(HasSubstr("expired"), HasSubstr("get a new certificate")));
  EXPECT_THAT(report.text("bastion/login"),
              AllOf(HasSubstr("get a new certificate"), Not(HasSubstr("ssh-copy-id"))));
}

TEST_F(DoctorCertificates, OneThatBeginsTomorrow) {
  sign(user_.private_path + ".pub", "+1d:+2d");
  const Report report = diagnose({host()});
  EXPECT_FAILED(report, "bastion/certificate", "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/certificate"), AllOf(HasSubstr("not valid before"), HasSubstr("clock")));
}

TEST_F(DoctorCertificates, OneForAnotherKey) {
  const KeyPair other = generate_key(KeyKind::kEd25519, directory_.file("id_other"));
  sign(other.private_path + ".pub", "-1d:+1d");
  SshConfigHost broken = host();
  broken.lines = {"CertificateFile " + other.private_path + "-cert.pub"};
  const Report report = diagnose({broken});
  EXPECT_FAILED(report, "bastion/certificate", "bastion/publickey", "bastion/login");
  EXPECT_THAT(report.text("bastion/certificate"),
              AllOf(HasSubstr(other.fingerprint), HasSubstr("issued for")));
}

// --- ssh-agent ---

class DoctorSshAgent : public DoctorLab {
 protected:
  SshConfigHost host(const std::string& socket) {
    SshConfigHost host = well();
    host.identity_file.clear();
    host.identity_agent = socket;
    return host;
  }
};

TEST_F(DoctorSshAgent, ItsKeyLetsIn) {
  SshAgent ssh_agent;
  ssh_agent.add(key_);
  const Report report = diagnose({host(ssh_agent.socket())});
  EXPECT_FAILED(report);
  EXPECT_THAT(report.text("bastion/agent", "ok"), HasSubstr("1 key: " + key_.fingerprint));
}

TEST_F(DoctorSshAgent, NoSocketThere) {
  const Report report = diagnose({host(directory_.file("no.sock"))});
  EXPECT_FAILED(report, "bastion/agent", "bastion/login");
  EXPECT_THAT(report.text("bastion/agent"), HasSubstr("ssh-agent does not run any more"));
}

TEST_F(DoctorSshAgent, ASocketThatWasLeftBehind) {
  const std::string path = directory_.file("stale.sock");
  UniqueFd stale(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const Report report = diagnose({host(path)});
  EXPECT_FAILED(report, "bastion/agent", "bastion/login");
  EXPECT_THAT(report.text("bastion/agent"), AllOf(HasSubstr("left behind"), HasSubstr("ssh-agent")));
}

TEST_F(DoctorSshAgent, NoKeysInIt) {
  SshAgent ssh_agent;
  const Report report = diagnose({host(ssh_agent.socket())});
  EXPECT_FAILED(report, "bastion/agent", "bastion/login");
  EXPECT_THAT(report.text("bastion/agent"), AllOf(HasSubstr("no keys"), HasSubstr("ssh-add")));
}

TEST_F(DoctorSshAgent, NotSetWhereTheAgentWasStarted) {
  SshConfigHost host = well();
  host.identity_file.clear();
  host.identity_agent = "SSH_AUTH_SOCK";
  const Report report = diagnose({host});
  EXPECT_FAILED(report, "bastion/login");
  EXPECT_THAT(report.text("bastion/agent", "skipped"), HasSubstr("SSH_AUTH_SOCK is not set"));
  EXPECT_THAT(report.text("bastion/login"), HasSubstr("ssh-add"));
}

// --- other ways to log in ---

TEST_F(Doctor, OnlyAPasswordWouldDoAndNobodyIsThere) {
  serve({.config = {"PubkeyAuthentication no", "PasswordAuthentication yes"}});
  const Report report = diagnose({well({"BatchMode no"})}, "bastion", {"--no-input"});
  EXPECT_FAILED(report, "bastion/login");
  EXPECT_THAT(report.text("bastion/password", "skipped"), HasSubstr("nobody gave the password"));
  EXPECT_THAT(report.text("bastion/login"),
              AllOf(HasSubstr("the password of"), HasSubstr("jumpctl in a terminal")));
}

TEST_F(Doctor, AMethodThatTheConfigurationForbids) {
  const Report report = diagnose({well({"PubkeyAuthentication no"})});
  EXPECT_FAILED(report, "bastion/login");
  EXPECT_THAT(report.text("bastion/publickey", "skipped"), HasSubstr("switched off"));
  EXPECT_THAT(report.text("bastion/login"), HasSubstr("PubkeyAuthentication no"));
}

// --- the agent itself ---

TEST_F(Doctor, TheAgentItselfIsWell) {
  agent({well()});
  const ProcessResult result = agent_->ctl({"doctor"});
  EXPECT_EQ(result.exit_status, 0) << result.describe();
  EXPECT_THAT(result.out,
              AllOf(HasSubstr(agent_->socket_path()), HasSubstr("OpenSSH"), HasSubstr("event loop"),
                    HasSubstr("SSH_AUTH_SOCK was not set"), HasSubstr("all is well")));
}

TEST_F(Doctor, TheAgentNamesTheHostsThatHaveErrors) {
  SshConfigHost host = well();
  host.user = "nobody-by-that-name";
  agent({host});
  EXPECT_EQ(agent_->ctl({"connect", "bastion"}).exit_status, 1);
  const ProcessResult result = agent_->ctl({"doctor"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("bastion: down"), HasSubstr("-> jumpctl doctor bastion")));
}

TEST_F(Doctor, AConfigFileThatIsBrokenNow) {
  agent_ = std::make_unique<AgentProcess>(directory_.write("config", ssh_config_text({well()})));
  const std::string file = directory_.write("config.toml", "lanes = true\n");
  agent_->run({"-c", file});
  EXPECT_EQ(agent_->ctl({"doctor"}).exit_status, 0);
  directory_.write("config.toml", "lanse = true\n");
  const ProcessResult result = agent_->ctl({"doctor"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("FAIL  config"), HasSubstr(file + ":1:"), HasSubstr("jumpagent reload")));
}

TEST_F(Doctor, NoAgentIsRunning) {
  agent_ = std::make_unique<AgentProcess>(directory_.write("config", ssh_config_text({well()})));
  for (const Strings& arguments : {Strings{"doctor"}, Strings{"doctor", "bastion"}}) {
    const ProcessResult result = agent_->ctl(arguments);
    EXPECT_EQ(result.exit_status, 3) << result.describe();
    EXPECT_THAT(result.out, AllOf(HasSubstr(agent_->socket_path() + ": no agent is running there"),
                                  HasSubstr("jumpagent up")));
    EXPECT_THAT(result.err, HasSubstr("jumpagent up"));
  }
  const ProcessResult result = agent_->ctl({"--json", "doctor"});
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(json::parse(result.out).at("error").at("kind"), "unreachable") << result.describe();
}

TEST_F(Doctor, ASocketThatAnAgentLeftBehind) {
  agent({well()});
  agent_->kill9();
  const ProcessResult result = agent_->ctl({"doctor"});
  EXPECT_EQ(result.exit_status, 3) << result.describe();
  EXPECT_THAT(result.out, AllOf(HasSubstr("left behind"), HasSubstr("jumpagent up")));
}

TEST_F(Doctor, ASocketDirectoryThatOthersMayUse) {
  agent_ = std::make_unique<AgentProcess>(directory_.write("config", ssh_config_text({well()})));
  ASSERT_EQ(::mkdir(agent_->socket_dir().c_str(), 0700), 0);
  ASSERT_EQ(::chmod(agent_->socket_dir().c_str(), 0777), 0);
  const ProcessResult result = agent_->ctl({"doctor"});
  EXPECT_EQ(result.exit_status, 3) << result.describe();
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("FAIL  directory"), HasSubstr("chmod 700 " + agent_->socket_dir())));
}

}  // namespace
}  // namespace jump::test
