#include "ctl/session_run.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <fnmatch.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>

#include "base/fd.h"
#include "ctl/output.h"
#include "ctl/print.h"
#include "ctl/session_signals.h"
#include "ctl/session_terminal.h"

extern char** environ;

namespace jump::ctl {
namespace {

using Tty = Options::Tty;

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// As ssh decides it: a terminal for a shell where there is one here, for a command only when it is asked for.
bool wants_terminal(const Options& options, const SessionWish& wish, const proto::HostOptionsResult& config,
                    bool no_stdin) {
  Tty wanted = options.tty;
  if (wanted == Tty::kAuto) {
    wanted = config.request_tty == "no"      ? Tty::kNo
             : config.request_tty == "yes"   ? Tty::kYes
             : config.request_tty == "force" ? Tty::kForce
             : wish.command.empty()          ? Tty::kYes
                                             : Tty::kNo;
  }
  if (wanted == Tty::kForce) return true;
  if (wanted == Tty::kNo) return false;
  if (::isatty(STDIN_FILENO) == 1 && !no_stdin) return true;
  if (options.tty == Tty::kYes || wish.command.empty())
    write_err("Pseudo-terminal will not be allocated because stdin is not a terminal.\n");
  return false;
}

// Of the environment; the rest of a request, the command above all, has to fit proto::kMaxLine beside it.
constexpr std::size_t kMaxEnvironment = proto::kMaxLine / 2;

// As JSON has it: a control character is six of it, and each variable has quotes and commas.
std::size_t size_in_request(const std::string& name, const std::string& value) {
  const auto escaped = std::count_if(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == 0x7f;
  });
  return name.size() + value.size() + 5 * static_cast<std::size_t>(escaped) + 6;
}

// What the protocol cannot carry is left out, and named: the command runs without it.
void leave_out_unsendable(const Options& options, std::map<std::string, std::string>& env) {
  std::size_t size = 0;
  std::erase_if(env, [&](const auto& variable) {
    const auto& [name, value] = variable;
    const bool text = is_utf8(name + value);
    const bool fits = size + size_in_request(name, value) <= kMaxEnvironment;
    if (text && fits) {
      size += size_in_request(name, value);
      return false;
    }
    const std::string why =
        text ? fmt::format("the environment would be more than {} KiB", kMaxEnvironment / 1024)
             : "it is not UTF-8";
    write_err(fmt::format("{}: {} is not sent: {}\n", options.program, sanitized(name), why));
    return true;
  });
}

// SendEnv of this program's environment, and SetEnv, which wins.
std::map<std::string, std::string> environment_to_send(const Options& options,
                                                       const proto::HostOptionsResult& config) {
  std::map<std::string, std::string> env = config.set_env;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view entry = *each;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name(entry.substr(0, equals));
    for (const std::string& pattern : config.send_env) {
      if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0) env.try_emplace(name, entry.substr(equals + 1));
    }
  }
  leave_out_unsendable(options, env);
  return env;
}

// A path is relative to where this program was started, as for ssh.
std::string absolute(const std::string& path) {
  std::array<char, PATH_MAX> directory{};
  if (path.empty() || path.front() == '/' || ::getcwd(directory.data(), directory.size()) == nullptr)
    return path;
  return std::string(directory.data()) + "/" + path;
}

bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         errno == EAGAIN;
}

// As ssh has it: IdentityAgent says which agent is this user's. Where that does not answer, nothing is
// forwarded, not even another one; another one that is not there is told of.
std::string agent_socket(const Options& options, const proto::HostOptionsResult& config) {
  const bool by_config = !options.forward_agent;
  if (by_config ? config.forward_agent == "no" : !*options.forward_agent) return {};
  const std::string& named = config.identity_agent;
  if (named == "none") return {};
  const std::string own = absolute(named.starts_with("$")   ? environment(named.c_str() + 1)
                                   : named.starts_with("/") ? named
                                                            : environment("SSH_AUTH_SOCK"));
  if (!somebody_listens(own)) return {};
  if (!by_config || config.forward_agent == "yes") return own;
  const std::string other =
      absolute(config.forward_agent.starts_with("$") ? environment(config.forward_agent.c_str() + 1)
                                                     : config.forward_agent);
  if (!other.empty() && ::access(other.c_str(), F_OK) != 0)
    write_err(fmt::format("{}: cannot forward the agent socket {}: {}\n", options.program, sanitized(other),
                          std::strerror(errno)));
  return other;
}

proto::SessionOpenParams params_of(const Options& options, const SessionWish& wish,
                                   const proto::HostOptionsResult& config, bool no_stdin) {
  proto::SessionOpenParams params;
  params.host = wish.host;
  if (wish.subsystem) params.subsystem = wish.command;
  if (!wish.subsystem && !wish.command.empty()) params.command = wish.command;
  if (wants_terminal(options, wish, config, no_stdin))
    params.tty = proto::SessionTty{environment("TERM"), {}, {}, {}, {}, config.escape_char, {}};
  params.env = environment_to_send(options, config);
  params.agent_socket = agent_socket(options, config);
  params.timeout = to_seconds(options.timeout_or(kLoginTimeout));
  return params;
}

// Standard descriptors that can be used as such: what the caller had closed is /dev/null now, and may be the
// wrong way round.
std::vector<int> standard_descriptors(bool no_stdin) {
  std::vector<int> all;
  for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const int mode = ::fcntl(number, F_GETFL) & O_ACCMODE;
    const bool usable = mode == O_RDWR || mode == (number == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    const bool null = !usable || (number == STDIN_FILENO && no_stdin);
    all.push_back(null ? ::open("/dev/null", O_RDWR | O_CLOEXEC) : number);
  }
  return all;
}

int fail_ssh(const Options& options, const proto::ErrorInfo& error) {
  const std::string hint = error.hint.empty() ? std::string() : fmt::format("; {}", error.hint);
  write_err(fmt::format("{}: {}{}\n", options.program, sanitized(error.message), sanitized(hint)));
  return kExitSsh;
}

bool nobody_reads_stdout() {
  pollfd out{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

int exit_status_of(const Options& options, const std::string& host, const proto::SessionEnded& end) {
  if (end.exit_status) return static_cast<int>(*end.exit_status & 0xff);
  // What dies of a reader that has gone was wanted: `yes | head`.
  if (end.exit_signal == "PIPE" && nobody_reads_stdout()) return kExitSsh;
  if (end.exit_signal) {
    const std::string core = end.core_dumped.value_or(false) ? " (core dumped)" : "";
    write_err(fmt::format("{}: {}: the command was ended by signal {}{}\n", options.program, sanitized(host),
                          sanitized(*end.exit_signal), core));
    return kExitSsh;
  }
  if (end.error) return fail_ssh(options, *end.error);
  return fail_ssh(options,
                  {"closed", host + ": the server has ended the session without an exit status", {}});
}

// How often a program in the background looks whether it is in the foreground again, and one that was told to
// end whether its time is over.
constexpr Duration kLookAgain = milliseconds(300);
// What the command has to end by a signal that this program was sent. Some servers pass on none, without a
// word (OpenSSH's, where root logs in), and whoever sent it waits.
constexpr Duration kEndTime = seconds(2);

// What a running session is waited for with.
class Waiter {
 public:
  // `terminal`: null where stdin is none.
  Waiter(const Options& options, Client& client, const proto::SessionOpenResult& session,
         SessionTerminal* terminal)
      : options_(options), client_(client), session_(session), terminal_(terminal) {}

  // Until the end; none: the agent has gone, or a signal wants the program to end now.
  std::optional<proto::SessionEnded> wait(SessionSignals& signals) {
    for (const proto::Answer& each : client_.take_asides()) {
      if (auto end = end_of(each)) return end;
    }
    while (true) {
      std::string_view line;
      const int descriptor = signals.descriptor();
      const bool away = terminal_ != nullptr && terminal_->away();
      const bool looks = away || ending_ || hint_at_;
      const std::optional<Duration> at_most = looks ? std::optional<Duration>(kLookAgain) : std::nullopt;
      if (!client_.next_line_or({&descriptor, descriptor >= 0 ? 1U : 0U}, &line, at_most).ok())
        return std::nullopt;
      if (line.empty()) {
        if (away) terminal_->look();
        const auto now = std::chrono::steady_clock::now();
        if (ending_ && now >= *ending_) fatal_ = end_signal_;
        if (hint_at_ && now >= *hint_at_) {
          hint_at_.reset();
          write_err(fmt::format("{}: the command was sent SIGINT, and runs on; once more ends {} alone\n",
                                options_.program, options_.program));
        }
        while (std::optional<int> number = signals.take()) on_signal(*number);
        if (fatal_) return std::nullopt;
        continue;
      }
      const Result<proto::Answer> said = proto::parse_answer(line);
      if (!said.ok()) continue;
      if (auto end = end_of(*said)) return end;
    }
  }
  std::optional<int> fatal() const { return fatal_; }

 private:
  std::optional<proto::SessionEnded> end_of(const proto::Answer& said) const {
    if (said.method != proto::notification::kSessionEnded.name) return std::nullopt;
    auto end = proto::decode_params<proto::SessionEnded>(said.result);
    if (!end.ok() || end->session != session_.session) return std::nullopt;
    return *std::move(end);
  }

  // With a terminal, keys are bytes: a signal that comes all the same is meant for this program.
  void on_signal(int number) {
    if (number == SIGWINCH || number == SIGTSTP || number == SIGCONT) {
      if (terminal_ != nullptr) return terminal_->on_signal(number);
      client_.tell(proto::method::kSessionResize, {session_.session, {}, {}, {}, {}});
    } else if (session_.tty || !sent_.insert(number).second) {
      fatal_ = number;
    } else {
      client_.tell(proto::method::kSessionSignal, {session_.session, std::string(signal_name(number))});
      if (number == SIGINT) hint_at_ = std::chrono::steady_clock::now() + kEndTime;
      if (number != SIGTERM && number != SIGHUP && number != SIGQUIT) return;
      ending_ = std::chrono::steady_clock::now() + kEndTime;
      end_signal_ = number;
    }
  }

  const Options& options_;
  Client& client_;
  const proto::SessionOpenResult& session_;
  SessionTerminal* const terminal_;
  std::set<int> sent_;
  std::optional<int> fatal_;
  std::optional<std::chrono::steady_clock::time_point> ending_;   // it has been told to end, and does then
  std::optional<std::chrono::steady_clock::time_point> hint_at_;  // it may not have heard of it
  int end_signal_ = 0;
};

// What ssh_config says of the host and cannot be done: ssh would stay without a session, or go into the
// background, and refuses the last as well.
std::optional<proto::ErrorInfo> refusal(const SessionWish& wish, const proto::HostOptionsResult& config) {
  if (config.session_type == "none")
    return proto::ErrorInfo{"unsupported",
                            wish.host + ": ssh_config has SessionType none for it: no command or shell",
                            "to log in and stay connected: jumpctl connect " + wish.host};
  if (config.fork_after_authentication)
    return proto::ErrorInfo{
        "unsupported", wish.host + ": ssh_config has ForkAfterAuthentication for it: no command or shell",
        "put ForkAfterAuthentication no into a Host block before it"};
  if (!wish.command.empty() && !config.remote_command.empty())
    return proto::ErrorInfo{"invalid",
                            wish.host + ": ssh_config has RemoteCommand for it, and there is a command here",
                            "for the former: jumpctl shell " + wish.host +
                                "; else put RemoteCommand none into "
                                "a Host block before it"};
  if (!is_utf8(wish.command))
    return proto::ErrorInfo{
        "invalid", "the command is not UTF-8, and would be another one if it were sent",
        "let the remote shell make the bytes: $'\\xe4'; or use ssh with ControlPath (jumpctl mux)"};
  return std::nullopt;
}

}  // namespace

int run_session(const Options& options, const SessionWish& wish) {
  Answerer answerer(!options.no_input);
  Result<Client> client = connect_client(options, &answerer);
  if (!client.ok()) return fail(options, client.error(), exit_unconnected(client.error()));
  const Duration timeout = options.timeout_or(kLoginTimeout) + kGrace;
  auto config = client->call(proto::method::kHostOptions, {wish.host, {}}, timeout);
  if (!config.ok()) return fail(options, config.error(), kExitSsh);
  if (std::optional<proto::ErrorInfo> refused = refusal(wish, *config)) return fail_ssh(options, *refused);
  SessionWish wanted = wish;
  if (wanted.command.empty()) wanted.command = config->remote_command;
  wanted.subsystem |= config->session_type == "subsystem" && !wanted.command.empty();
  const bool no_stdin = options.no_stdin || config->stdin_null;

  proto::SessionOpenParams params = params_of(options, wanted, *config, no_stdin);
  std::vector<int> descriptors = standard_descriptors(no_stdin);
  std::optional<SessionTerminal> terminal;
  if (::isatty(descriptors[STDIN_FILENO]) == 1) {
    auto made = SessionTerminal::make();
    if (!made.ok()) return fail(options, made.error(), kExitSsh);
    terminal = *std::move(made);
    descriptors[STDIN_FILENO] = terminal->session_end();
    if (params.tty) terminal->describe(*params.tty);
  }
  auto session = ask_heir_too(options, &answerer, &client, [&](Client& agent) {
    return agent.call_passing(proto::method::kSessionOpen, params, descriptors, timeout);
  });
  answerer.end();
  if (!session.ok()) return fail(options, session.error(), kExitSsh);
  std::signal(SIGPIPE,
              SIG_IGN);  // a reader of our messages that has gone changes nothing: see exit_status_of()
  if (params.tty && !session->tty)
    write_err(fmt::format("{}: {}: the server gives no terminal\n", options.program, sanitized(wish.host)));

  SessionSignals signals(terminal && session->tty);
  if (terminal) {
    const Status begun = terminal->begin(session->tty, [&](const TerminalSize& size) {
      client->tell(proto::method::kSessionResize,
                   {session->session, size.columns, size.rows, size.width, size.height});
    });
    if (!begun.ok()) return fail(options, begun.error(), kExitSsh);
  }
  Waiter waiter(options, *client, *session, terminal ? &*terminal : nullptr);
  const std::optional<proto::SessionEnded> end = waiter.wait(signals);
  terminal.reset();
  if (end) return exit_status_of(options, wish.host, *end);
  if (std::optional<int> number = waiter.fatal()) die_by(*number);
  return fail_ssh(options, {"closed", "the agent has ended, and the session with it", {}});
}

}  // namespace jump::ctl
