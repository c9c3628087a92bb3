// jumpctl doctor [HOST]: walks the way to HOST with connections of its own and says, hop by hop, what is well
// and what to do about what is not; without HOST the agent itself. First what can be told without an agent:
// the place of its socket, the directory, and whether anybody answers there.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/shell_quoted.h"
#include "ctl/diagnosis_text.h"
#include "ctl/output.h"
#include "ctl/verb.h"
#include "proto/socket_path.h"

namespace jump::ctl {
namespace {

constexpr const char* kHere = "jumpctl";
// Longer than the agent takes at most (AgentDiagnosis::kLimit).
constexpr Duration kLongCheck = seconds(20);
constexpr const char* kUp = "start one: jumpagent up";

using proto::DiagnosisReport;

void add(DiagnosisReport& report, const char* step, const char* outcome, std::string detail,
         std::string advice = {}) {
  if (std::string_view(outcome) == "failed") report.healthy = false;
  report.steps.push_back({kHere, step, outcome, std::move(detail), std::move(advice)});
}

void check_directory(const std::string& directory, DiagnosisReport& report) {
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) {
    const bool missing = errno == ENOENT;
    return add(report, "directory", missing ? "note" : "failed",
               fmt::format("{}: {}", directory, missing ? "does not exist yet" : std::strerror(errno)),
               missing ? "" : "make it accessible, or name another place: --socket PATH");
  }
  const std::string mode = fmt::format("{} (mode {:04o})", directory, info.st_mode & 07777);
  if (!S_ISDIR(info.st_mode))
    return add(report, "directory", "failed", directory + ": not a directory", "move it away");
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return add(report, "directory", "failed", fmt::format("{}: it belongs to uid {}", mode, info.st_uid),
               "name another place: --socket PATH, or $JUMPAGENT_SOCK");
  }
  // As the agent has it (its own directory is for nobody else, others may be read).
  const mode_t open_to_others = directory.ends_with("/jumpagent") ? 0077 : 0022;
  if ((info.st_mode & open_to_others) != 0 && (info.st_mode & S_ISVTX) == 0)
    return add(report, "directory", "failed", mode + ": others have access to it",
               "chmod 700 " + shell_quoted(directory));
  add(report, "directory", "ok", mode);
}

void check_socket(const std::string& path, const std::optional<Error>& refused, DiagnosisReport& report) {
  if (!refused) return add(report, "socket", "ok", path);
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0)
    return add(report, "socket", "failed", path + ": no agent is running there", kUp);
  if (!S_ISSOCK(info.st_mode))
    return add(report, "socket", "failed", path + ": it is no socket",
               "move it away, or name another: --socket PATH");
  if (refused->code == Errc::kUnreachable) {
    return add(report, "socket", "failed",
               path + ": nobody listens, it was left behind by an agent that did not end by itself",
               std::string(kUp) + " (it replaces the socket)");
  }
  add(report, "socket", "failed", refused->message, refused->hint);
}

// What can be told from here. `refused`: why there is no agent.
DiagnosisReport check_here(const std::string& path, const std::optional<Error>& refused) {
  DiagnosisReport report;
  report.healthy = true;
  const std::size_t slash = path.rfind('/');
  check_directory(slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash), report);
  check_socket(path, refused, report);
  return report;
}

// Also when somebody else's directory is the reason for no answer.
int without_agent(const Options& options, const std::string& path, const Error& error) {
  if (!options.json) write_out(render_steps(check_here(path, error), style_of(STDOUT_FILENO)));
  return fail(options, error, error.code == Errc::kUnreachable ? kExitNoAgent : kExitFailed);
}

}  // namespace

int run_doctor(const Options& options) {
  Result<std::string> path = proto::control_socket_path(options.socket);
  if (!path.ok()) return fail(options, path.error(), kExitFailed);
  {
    Result<Client> client = connect_client(options);
    if (!client.ok()) return without_agent(options, *path, client.error());
  }
  const bool whole_way = !options.arguments.empty();
  const DiagnosisReport from_here = check_here(*path, std::nullopt);
  bool healthy = options.json || from_here.healthy;  // the document is the agent's alone
  const auto text = [&](const DiagnosisReport& report, Style style) {
    healthy = healthy && report.healthy;
    const std::string head = whole_way && from_here.healthy ? "" : render_steps(from_here, style);
    DiagnosisReport all = from_here;
    all.steps.insert(all.steps.end(), report.steps.begin(), report.steps.end());
    all.healthy = healthy;
    return head + render_steps(report, style) + render_verdict(all, style);
  };
  int exit_code = kExitDone;
  if (whole_way) {
    const Duration timeout = options.timeout_or(kLoginTimeout);
    const auto& method = proto::method::kHostDiagnose;
    const std::string& host = options.arguments.front();
    exit_code = run_calls(options, method.name,
                          {{host, proto::encode(proto::HostDiagnoseParams{host, to_seconds(timeout)})}},
                          timeout + kGrace, render_with(method, text), Login::kMaybe);
  } else {
    const auto& method = proto::method::kAgentDiagnose;
    exit_code = run_calls(options, method.name, {{{}, proto::encode(proto::Empty{})}},
                          options.timeout_or(kLongCheck), render_with(method, text));
  }
  return exit_code == kExitDone && !healthy ? kExitFailed : exit_code;
}

}  // namespace jump::ctl
