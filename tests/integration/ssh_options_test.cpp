// The options of ssh_config that decide about a connection, one row each: the same file is given to the agent
// and to stock ssh, and both have to get in, or both not; what else an option does is looked at afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/socket.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// One server, one agent, one ssh-agent, and the files that the rows name.
class Scene {
 public:
  Scene() {
    ca_ = generate_key(KeyKind::kEd25519, file("ca"));
    SshdOptions options;
    options.config = {"TrustedUserCAKeys " + file("ca") + ".pub"};
    sshd_ = std::make_unique<Sshd>(options);
    const KeyPair& key = user_key(KeyKind::kEd25519);
    sshd_->authorize(key);
    keys_.add(key);
    const KeyPair stranger = generate_key(KeyKind::kEd25519, file("stranger"));
    const ProcessResult made = run_process(
        {"ssh-keygen", "-q", "-s", file("ca"), "-I", "test", "-n", current_user(), file("stranger.pub")},
        seconds(20));
    EXPECT_TRUE(made.ok()) << made.describe();
    std::error_code failed;
    std::filesystem::rename(file("stranger-cert.pub"), file("certificate"), failed);
    std::filesystem::copy_file(key.private_path, file("id_" + current_user() + "_" + port()), failed);
    std::filesystem::copy_file(key.private_path + ".pub", file("public_half"), failed);
    EXPECT_FALSE(failed) << failed.message();
    directory_.write(
        "known", sshd_->known_hosts() + "[localhost]:" + port() + " " + sshd_->host_key().public_line + "\n");
    directory_.write("known_any", "* " + sshd_->host_key().public_line + "\n");
    directory_.write("known_alias", "the-alias " + sshd_->host_key().public_line + "\n");
    directory_.write("empty", "");
  }

  // With {port}, {user}, {dir}, {key}, {socket} filled in.
  std::string filled(std::string text) const {
    const std::pair<std::string, std::string> values[] = {{"{port}", port()},
                                                          {"{user}", current_user()},
                                                          {"{dir}", directory_.path()},
                                                          {"{key}", user_key(KeyKind::kEd25519).private_path},
                                                          {"{socket}", keys_.socket()}};
    for (const auto& [name, value] : values) {
      for (std::size_t at; (at = text.find(name)) != std::string::npos;) text.replace(at, name.size(), value);
    }
    return text;
  }
  // `lines` are the first word on "target"; the rest is a usual configuration.
  void configure(const std::vector<std::string>& lines, const std::string& before) {
    std::string text = before + "Host target\n";
    for (const std::string& line : lines) text += "  " + line + "\n";
    const auto has = [&text](const char* word) { return text.find(word) != std::string::npos; };
    const bool own_identity = has("Identity") || has("Certificate");
    text += own_identity ? "" : "  IdentityFile {key}\n";
    text +=
        "Host target bastion*\n  HostName 127.0.0.1\n  Port {port}\n"
        "Match originalhost bastion*,localhost\n  IdentityFile {key}\n"
        "Host *\n  User {user}\n  IdentityAgent none\n  UserKnownHostsFile {dir}/known\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout "
        "20\n";
    directory_.write("config", filled(text));
    agent_ = std::make_unique<AgentProcess>(
        file("config"), Environment{{"SSH_AUTH_SOCK", keys_.socket()}, {"JUMP_TEST_SOCK", keys_.socket()}});
    agent_->run();
  }

  ProcessResult connect() {
    directory_.write("fresh", "");
    return agent_->ctl({"connect", "target"});
  }
  ProcessResult stock_ssh() {
    directory_.write("fresh", "");
    return run_process({"ssh", "-F", file("config"), "-o", "ClearAllForwardings=yes", "-o", "LogLevel=ERROR",
                        "target", "true"},
                       seconds(40), agent_->environment());
  }
  nlohmann::json status() { return agent_->host_status("target"); }
  // What the agent says that it does not do, a line each.
  std::string ignored() {
    std::string lines;
    for (const auto& line : status().value("ignored", nlohmann::json::array()))
      lines += line.get<std::string>() + "\n";
    return lines;
  }
  std::string algorithms() { return status().value("algorithms", ""); }

  AgentProcess& agent() { return *agent_; }
  Sshd& sshd() { return *sshd_; }
  std::string port() const { return std::to_string(sshd_->port()); }
  std::string file(const std::string& name) const { return directory_.file(name); }
  std::string fresh() const { return read_file(file("fresh")); }

 private:
  TempDir directory_;
  KeyPair ca_;
  std::unique_ptr<Sshd> sshd_;
  SshAgent keys_;
  std::unique_ptr<AgentProcess> agent_;
};

enum class Gets { kIn, kRefused };
constexpr Gets kIn = Gets::kIn, kRefused = Gets::kRefused;

struct Row {
  const char* name;
  std::vector<std::string> lines;
  Gets gets = kIn;
  const char* says = "";  // in the one line of the refusal
  std::function<void(Scene&)> check = nullptr;
  const char* before = "";  // of the file, in front of the host's own block
};

void nothing_is_ignored(Scene& scene) { EXPECT_EQ(scene.ignored(), ""); }
std::function<void(Scene&)> agrees_on(const char* algorithm) {
  return [algorithm](Scene& scene) { EXPECT_THAT(scene.algorithms(), HasSubstr(algorithm)); };
}
std::function<void(Scene&)> tells(const char* line) {
  return [line](Scene& scene) { EXPECT_THAT(scene.ignored(), HasSubstr(line)); };
}
std::function<void(Scene&)> comes_from(const char* address) {
  return [address](Scene& scene) {
    EXPECT_THAT(scene.sshd().log(), HasSubstr(std::string("from ") + address + " "));
  };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      // --- who ---
      {"Plain", {}, kIn, "", nothing_is_ignored},
      {"User_unknown", {"User nobody-such"}, kRefused, "nobody-such@127.0.0.1"},
      {"IdentityFile_second_fits", {"IdentityFile {dir}/stranger", "IdentityFile {key}"}},
      {"IdentityFile_tokens", {"IdentityFile {dir}/id_%r_%p"}},
      {"IdentityFile_of_a_users_home", {"IdentityFile ~{user}/../..{key}"}},
      {"IdentityFile_none", {"IdentityFile none"}, kRefused, "authentication failed"},
      {"IdentityFile_missing", {"IdentityFile {dir}/nowhere"}, kRefused, "authentication failed"},
      {"IdentityAgent_path", {"IdentityFile none", "IdentityAgent {socket}"}},
      {"IdentityAgent_of_the_environment", {"IdentityFile none", "IdentityAgent SSH_AUTH_SOCK"}},
      {"IdentityAgent_variable", {"IdentityFile none", "IdentityAgent $JUMP_TEST_SOCK"}},
      {"IdentityAgent_none", {"IdentityFile none", "IdentityAgent none"}, kRefused, "authentication failed"},
      {"IdentitiesOnly_leaves_the_agents_out",
       {"IdentitiesOnly yes", "IdentityAgent {socket}", "IdentityFile {dir}/stranger"},
       kRefused,
       "stranger"},
      {"IdentitiesOnly_no", {"IdentitiesOnly no", "IdentityAgent {socket}", "IdentityFile {dir}/stranger"}},
      {"IdentitiesOnly_by_the_public_half",
       {"IdentitiesOnly yes", "IdentityAgent {socket}", "IdentityFile {dir}/public_half"}},
      {"CertificateFile", {"IdentityFile {dir}/stranger", "CertificateFile {dir}/certificate"}},
      {"PreferredAuthentications_publickey", {"PreferredAuthentications publickey"}},
      {"PreferredAuthentications_others",
       {"PreferredAuthentications password,keyboard-interactive"},
       kRefused,
       "authentication failed"},
      {"PubkeyAuthentication_no", {"PubkeyAuthentication no"}, kRefused, "authentication failed"},
      {"PubkeyAcceptedAlgorithms_list", {"PubkeyAcceptedAlgorithms ssh-ed25519"}},
      {"PubkeyAcceptedAlgorithms_others",
       {"PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256"},
       kRefused,
       "left out by PubkeyAcceptedAlgorithms"},
      {"PubkeyAcceptedAlgorithms_plus", {"PubkeyAcceptedAlgorithms +ssh-rsa"}},
      {"PubkeyAcceptedAlgorithms_minus",
       {"PubkeyAcceptedAlgorithms -ssh-ed25519*"},
       kRefused,
       "left out by PubkeyAcceptedAlgorithms"},
      {"PubkeyAcceptedAlgorithms_first", {"PubkeyAcceptedAlgorithms ^rsa-sha2-512"}},
      {"GSSAPI_as_distributions_have_it",
       {"GSSAPIAuthentication yes", "GSSAPIDelegateCredentials no", "ForwardX11Trusted yes",
        "SendEnv LANG LC_*", "HashKnownHosts yes"},
       kIn,
       "",
       nothing_is_ignored},

      // --- the way there ---
      {"Port_wrong", {"Port 1"}, kRefused, "127.0.0.1:1: Connection refused"},
      {"HostName_token", {"HostName 127.0.0.1", "HostKeyAlias [127.0.0.1]:%p"}, kRefused, "is unknown"},
      {"ProxyJump_alias",
       {"ProxyJump bastion"},
       kIn,
       "",
       [](Scene& scene) { EXPECT_EQ(scene.status().value("via", ""), "bastion"); }},
      {"ProxyJump_address", {"ProxyJump {user}@localhost:{port}"}},
      {"ProxyJump_url", {"ProxyJump ssh://{user}@localhost:{port}"}},
      {"ProxyJump_to_the_host_itself", {"ProxyJump 127.0.0.1:{port}"}, kRefused, "leads in a circle"},
      {"ProxyJump_list",
       {"ProxyJump bastion,bastion2"},
       kIn,
       "",
       [](Scene& scene) { EXPECT_EQ(scene.status().value("via", ""), "bastion2 via bastion"); }},
      {"ProxyJump_none",
       {"ProxyJump none", "ProxyJump nobody.invalid"},
       kIn,
       "",
       [](Scene& scene) { EXPECT_EQ(scene.status().value("via", ""), ""); }},
      {"ProxyCommand_tokens",
       {"ProxyCommand sh -c 'echo %h %p %r %n %% > {dir}/tokens; exec ssh -F {dir}/config -W %h:%p bastion'"},
       kIn,
       "",
       [](Scene& scene) {
         EXPECT_EQ(read_file(scene.file("tokens")), scene.filled("127.0.0.1 {port} {user} target %\n"));
       }},
      {"ProxyCommand_none", {"ProxyCommand none", "ProxyJump nobody.invalid"}},
      {"ProxyCommand_first_wins",
       {"ProxyCommand false", "ProxyJump bastion"},
       kRefused,
       "ProxyCommand 'false'"},
      {"AddressFamily_inet",
       {"HostName localhost", "AddressFamily inet", "UserKnownHostsFile {dir}/known_any"}},
      {"AddressFamily_inet6",
       {"HostName localhost", "AddressFamily inet6", "UserKnownHostsFile {dir}/known_any"},
       kRefused,
       "localhost"},
      {"BindAddress", {"BindAddress 127.0.0.9"}, kIn, "", comes_from("127.0.0.9")},
      {"BindAddress_name", {"BindAddress localhost"}, kIn, "", comes_from("127.0.0.1")},
      {"BindAddress_of_somebody_else", {"BindAddress 192.0.2.7"}, kRefused, "127.0.0.1:"},
      {"BindInterface", {"BindInterface lo"}},
      {"IPQoS", {"IPQoS af21 cs1"}, kIn, "", nothing_is_ignored},
      {"TCPKeepAlive_and_such",
       {"TCPKeepAlive no", "ServerAliveInterval 30", "ServerAliveCountMax 4", "ConnectionAttempts 2"},
       kIn,
       "",
       nothing_is_ignored},
      {"Compression", {"Compression yes"}, kIn, "", tells("Compression: not supported")},

      // --- the server's key ---
      {"UserKnownHostsFile_second_knows", {"UserKnownHostsFile {dir}/empty {dir}/known"}},
      {"UserKnownHostsFile_dev_null", {"UserKnownHostsFile /dev/null"}, kRefused, "host key"},
      {"UserKnownHostsFile_none", {"UserKnownHostsFile none"}, kRefused, "host key"},
      {"GlobalKnownHostsFile",
       {"UserKnownHostsFile /dev/null", "GlobalKnownHostsFile {dir}/empty {dir}/known"}},
      {"HostKeyAlias", {"HostKeyAlias the-alias", "UserKnownHostsFile {dir}/known_alias"}},
      {"HostKeyAlias_other",
       {"HostKeyAlias another", "UserKnownHostsFile {dir}/known_alias"},
       kRefused,
       "another"},
      {"StrictHostKeyChecking_ask_with_nobody",
       {"StrictHostKeyChecking ask", "UserKnownHostsFile {dir}/fresh"},
       kRefused,
       "host key"},
      {"StrictHostKeyChecking_accept_new",
       {"StrictHostKeyChecking accept-new", "UserKnownHostsFile {dir}/fresh", "HashKnownHosts no"},
       kIn,
       "",
       [](Scene& scene) { EXPECT_THAT(scene.fresh(), StartsWith("[127.0.0.1]:")); }},
      {"StrictHostKeyChecking_no",
       {"StrictHostKeyChecking no", "UserKnownHostsFile {dir}/fresh"},
       kIn,
       "",
       [](Scene& scene) { EXPECT_THAT(scene.fresh(), HasSubstr(scene.sshd().host_key().public_line)); }},
      {"HashKnownHosts",
       {"HashKnownHosts yes", "StrictHostKeyChecking accept-new", "UserKnownHostsFile {dir}/fresh"},
       kIn,
       "",
       [](Scene& scene) { EXPECT_THAT(scene.fresh(), StartsWith("|1|")); }},

      // --- algorithms ---
      {"Ciphers_one", {"Ciphers aes256-ctr"}, kIn, "", agrees_on("aes256-ctr")},
      {"Ciphers_plus", {"Ciphers +aes128-cbc"}},
      {"Ciphers_minus", {"Ciphers -aes*"}, kIn, "", agrees_on("chacha20-poly1305@openssh.com")},
      {"Ciphers_first", {"Ciphers ^aes256-gcm@openssh.com"}, kIn, "", agrees_on("aes256-gcm@openssh.com")},
      {"Ciphers_that_the_server_has_not", {"Ciphers aes128-cbc"}, kRefused, "cipher"},
      // Not ecdh-sha2-nistp…: each such exchange leaks two kilobytes inside libssh2, which sanitizers report.
      {"KexAlgorithms_with_one_that_only_ssh_has",
       {"KexAlgorithms sntrup761x25519-sha512@openssh.com,diffie-hellman-group16-sha512"},
       kIn,
       "",
       agrees_on("diffie-hellman-group16-sha512")},
      {"KexAlgorithms_minus",
       {"KexAlgorithms -curve25519*,sntrup*,ecdh*,diffie-hellman-group-exchange*"},
       kIn,
       "",
       agrees_on("diffie-hellman-group16-sha512")},
      {"KexAlgorithms_first",
       {"KexAlgorithms ^diffie-hellman-group18-sha512"},
       kIn,
       "",
       agrees_on("diffie-hellman-group18-sha512")},
      {"HostKeyAlgorithms_one", {"HostKeyAlgorithms ssh-ed25519"}},
      {"HostKeyAlgorithms_minus", {"HostKeyAlgorithms -ssh-ed25519*"}, kRefused, "host key algorithm"},
      {"HostKeyAlgorithms_plus", {"HostKeyAlgorithms +ssh-rsa"}},
      {"HostKeyAlgorithms_first", {"HostKeyAlgorithms ^rsa-sha2-512"}},
      {"MACs_one", {"Ciphers aes128-ctr", "MACs hmac-sha2-512"}, kIn, "", agrees_on("hmac-sha2-512")},
      {"MACs_minus", {"Ciphers aes128-ctr", "MACs -*-etm@openssh.com"}, kIn, "", agrees_on("hmac-sha2-256")},
      {"MACs_that_only_ssh_has_beside_a_cipher_that_needs_none",
       {"MACs umac-64@openssh.com,umac-128@openssh.com"}},

      // --- sessions and forwards ---
      {"SendEnv_and_SetEnv", {"SendEnv LANG LC_*", "SetEnv A=b"}, kIn, "", nothing_is_ignored},
      {"LocalForward",
       {"LocalForward 18080 svc:80"},
       kIn,
       "",
       tells("LocalForward: not opened; open it with: jumpctl forward --via target '18080:[svc]:80'")},
      {"RemoteForward",
       {"RemoteForward 18081 svc:80"},
       kIn,
       "",
       tells("jumpctl reverse --via target '18081:[svc]:80'")},
      {"DynamicForward", {"DynamicForward 18082"}, kIn, "", tells("jumpctl socks --via target 18082")},

      // --- the file itself ---
      {"Include",
       {},
       kIn,
       "",
       nullptr,
       "Host target\n  IdentityFile none\nMatch all\n  Include {dir}/config.d/*\n"},
      {"Match_host", {"IdentityFile none"}, kIn, "", nullptr, "Match host target\n  IdentityFile {key}\n"},
      {"Match_user",
       {"IdentityFile none"},
       kIn,
       "",
       nullptr,
       "Match user {user} originalhost target\n  IdentityFile {key}\n"},
      {"Match_other_user",
       {"IdentityFile none"},
       kRefused,
       "",
       nullptr,
       "Match user nobody-such originalhost target\n  IdentityFile {key}\n"},
      {"Match_exec",
       {"IdentityFile none"},
       kIn,
       "",
       nullptr,
       "Match exec \"test %n = target\"\n  IdentityFile {key}\n"},
      {"Match_exec_that_fails",
       {"IdentityFile none"},
       kRefused,
       "",
       nullptr,
       "Match exec \"test %n = other\"\n  IdentityFile {key}\n"},
      {"Host_wildcards", {"IdentityFile none"}, kIn, "", nullptr, "Host t?rg*\n  IdentityFile {key}\n"},
      {"Host_negated",
       {"IdentityFile none"},
       kRefused,
       "",
       nullptr,
       "Host t* !target\n  IdentityFile {key}\n"},
      {"An_unknown_option", {"FrobnicationLevel 3"}, kRefused, "Bad configuration option: frobnicationlevel"},
      {"An_unknown_option_to_be_ignored",
       {"IgnoreUnknown Frobn*", "FrobnicationLevel 3"},
       kIn,
       "",
       nothing_is_ignored},
  };
  return all;
}

class SshOption : public ::testing::TestWithParam<std::size_t> {
 protected:
  const Row& row() const { return rows()[GetParam()]; }
};
INSTANTIATE_TEST_SUITE_P(Of, SshOption, ::testing::Range(std::size_t{0}, rows().size()),
                         [](const auto& which) { return std::string(rows()[which.param].name); });

TEST_P(SshOption, MeansWhatItMeansToSsh) {
  Scene scene;
  std::filesystem::create_directory(scene.file("config.d"));
  std::ofstream(scene.file("config.d/one.conf")) << scene.filled("Host target\n  IdentityFile {key}\n");
  scene.configure(row().lines, row().before);
  const ProcessResult result = scene.connect();
  EXPECT_EQ(result.exit_status, row().gets == kIn ? 0 : 1) << result.describe();
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), row().gets == kIn ? 0 : 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr(row().says));
  if (row().check) row().check(scene);
  const ProcessResult stock = scene.stock_ssh();
  EXPECT_EQ(stock.exit_status == 0, row().gets == kIn) << "stock ssh: " << stock.describe();
}

// --- options that are about time ---------------------------------------------------------------------------

TEST(SshOptions, ConnectionAttemptsAreASecondApart) {
  const ReservedPort nobody;
  const TempDir directory;
  SshConfigHost host{"gone", nobody.number()};
  host.lines = {"ConnectionAttempts 3"};
  AgentProcess agent(directory.write("config", ssh_config_text({host})));
  agent.run();
  const Stopwatch watch;
  EXPECT_EQ(agent.ctl({"connect", "gone"}).exit_status, 1);
  EXPECT_GE(to_seconds(watch.elapsed()), 2.0);
  EXPECT_LT(to_seconds(watch.elapsed()), 15.0);
}

TEST(SshOptions, ServerAliveIntervalAndCountMaxFindAServerThatHangs) {
  LabOptions options;
  options.config_lines = {"ServerAliveInterval 1", "ServerAliveCountMax 2"};
  Lab lab(options);
  ASSERT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
  const pid_t server = lab.sshd().listener_pid();
  const std::vector<pid_t> sessions = process_descendants(server);
  ASSERT_FALSE(sessions.empty());
  const Stopwatch watch;
  for (pid_t pid : sessions) ::kill(pid, SIGSTOP);
  // In the log: it logs in again at once, and the status has forgotten.
  const auto told = [&] { return lab.agent().log().find("the server has not answered for") != std::string::npos; };
  EXPECT_TRUE(eventually(told, seconds(20))) << lab.agent().log();
  EXPECT_LT(to_seconds(watch.elapsed()), 8.0);
  for (pid_t pid : sessions) ::kill(pid, SIGCONT);
}

// --- what is not honoured ----------------------------------------------------------------------------------

TEST(SshOptions, WhatIsNotHonouredIsLoggedOnceAndShownInTheStatus) {
  LabOptions options;
  options.config_lines = {"Compression yes", "ForwardX11 yes"};
  Lab lab(options);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
    ASSERT_TRUE(lab.agent().ctl({"disconnect", Lab::kBastion}).ok());
  }
  const std::string log = lab.agent().log();
  for (const char* option : {"Compression", "ForwardX11"}) {
    const std::string line = std::string("bastion: ssh_config: ") + option;
    const std::size_t first = log.find(line);
    ASSERT_NE(first, std::string::npos) << log;
    EXPECT_EQ(log.find(line, first + 1), std::string::npos) << log;
    EXPECT_THAT(lab.agent().host_status(Lab::kBastion).at("ignored").dump(), HasSubstr(option));
  }
}

}  // namespace
}  // namespace jump::test
