#include "support/mux_lab.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <regex>

#include "support/setup_error.h"

namespace jump::test {
namespace {

// `s` ends a script with a status. The master is a child of nobody: each script finds one, or starts it, where one that
// died (10.3 does, of some proxy clients) may have left its socket.
constexpr const char* kPrelude = R"(
set -o pipefail
s() { echo "status ${1:-$?}"; }
m() { "$ssh" -F "$config" -S "$ctl" "$@"; }
start() {
  [ "$master" = agent ] || "$ssh" -F "$config" -S "$ctl" -O check bastion 2>/dev/null || {
    rm -f "$ctl"
    "$ssh" -F "$config" -S "$ctl" -M ${master_flags--A} -N -f bastion </dev/null >/dev/null 2>&1
  }
}
until_true() { for i in $(seq ${tries:-1200}); do "$@" && return 0; sleep 0.05; done; return 1; }
answered() { [ $(wc -c < $2) -ge $1 ]; }  # BYTES FILE
talk() {
  (exec 9<>/dev/tcp/127.0.0.1/$1) 2>/dev/null || { echo refused; return 1; }
  exec 9<>/dev/tcp/127.0.0.1/$1; echo "$2" >&9; IFS= read -r -t 10 line <&9; echo "got $line"; exec 9>&-
}
opens() { (exec 9<>/dev/tcp/127.0.0.1/$1) 2>/dev/null; }
shut() { ! opens "$1"; }
e() {  # KEYS ANSWER ESCAPE [OPTION...]: types the keys, and ESCAPE. when ANSWER is in $dir/err
  local keys="$1" answer="$2" escape="$3"; shift 3
  (printf "$keys"; until_true grep -qs -e "$answer" $dir/err; printf "$escape.") | m "$@" -tt bastion 'sleep 60' >/dev/null 2>$dir/err
}
start
)";

// Where contrib/build.sh --for-tests unpacks newer clients.
std::string newer_client(const char* variable, const char* directory) {
  if (const char* named = std::getenv(variable)) return named;
  const std::filesystem::path tests = std::filesystem::read_symlink("/proc/self/exe");
  return tests.parent_path().parent_path().parent_path() / "build/deps" / directory / "usr/bin";
}

}  // namespace

std::vector<OpensshClient> openssh_clients() {
  std::vector<OpensshClient> all = {{"Installed", ""}};
  const auto add = [&](const char* name, const std::string& path) {
    if (::access((path + "/ssh").c_str(), X_OK) == 0) all.push_back({name, path});
  };
  add(kOpenssh10, newer_client("JUMPAGENT_OPENSSH10", "openssh-10"));
  add(kOpenssh103, newer_client("JUMPAGENT_OPENSSH103", "openssh-10.3"));
  return all;
}

OpensshClient openssh_client(const std::string& name) {
  for (const OpensshClient& each : openssh_clients())
    if (each.name == name) return each;
  return {};
}

MuxLab::MuxLab(LabOptions options, const OpensshClient& client)
    : lab_(std::make_unique<Lab>(std::move(options))), client_(client.directory) {
  const ProcessResult served = agent().ctl({"mux", Lab::kBastion});
  if (!served.ok()) setup_error("jumpctl mux: " + served.describe());
  socket_ = served.out.substr(0, served.out.find('\n'));
}

MuxLab::~MuxLab() {
  run_process(
      {"ssh", "-F", lab_->ssh_config(), "-S", lab_->directory().file("master"), "-O", "exit", "bastion"},
      seconds(10));
}

Environment MuxLab::environment(Master master) {
  Environment env = agent().environment();
  const std::string tool = client_.empty() ? "" : client_ + "/";
  env["master"] = master == Master::kAgent ? "agent" : "ssh";
  env["ctl"] = master == Master::kAgent ? socket_ : lab_->directory().file("master");
  env["config"] = lab_->ssh_config();
  env["ssh"] = tool + "ssh";
  env["scp"] = tool + "scp";
  env["sftp"] = tool + "sftp";
  env["through"] = "-S " + tool + "ssh -F " + lab_->ssh_config() + " -o ControlPath=" + env["ctl"];
  env["echo"] = std::to_string(echo_.port());
  env["sshd_port"] = std::to_string(lab_->sshd().port());
  for (int index = 0; index < 4; ++index)
    env["port" + std::to_string(index + 1)] = std::to_string(ports_[index].number());
  env["dir"] = lab_->directory().make_dir("run" + std::to_string(runs_++));
  env["jumpctl"] = ctl_program();
  env["TERM"] = "xterm";
  for (const auto& [name, value] : more_) env[name] = value;
  return env;
}

ProcessResult MuxLab::run(Master master, const std::string& script, Duration deadline) {
  const Environment env = environment(master);
  ProcessResult result = run_process({"bash", "-c", kPrelude + script}, deadline, env);
  result.out = without_accidents(std::move(result.out), env);
  result.err = without_accidents(std::move(result.err), env);
  return result;
}

int MuxLab::logins() const {
  const std::string log = lab_->sshd().log();
  int count = 0;
  for (std::size_t at = 0; (at = log.find("Accepted publickey", at)) != std::string::npos; ++at) count++;
  return count;
}

std::string without_accidents(std::string text, const Environment& env) {
  const auto replace = [&text](const std::string& what, const std::string& by) {
    for (std::size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string::npos;
         at += by.size())
      text.replace(at, what.size(), by);
  };
  replace(env.at("dir"), "DIR");
  replace(env.at("ctl"), "CTL");
  text = std::regex_replace(text, std::regex("pid=[0-9]+"), "pid=N");
  text = std::regex_replace(text, std::regex("Allocated port [0-9]+"), "Allocated port N");
  return std::regex_replace(text, std::regex("bash: line [0-9]+"), "bash: line N");
}

}  // namespace jump::test
