// What every verb shares: its options, and the way from "call these" to lines on stdout, errors on stderr and
// an exit code. With --json stdout gets exactly one JSON document: for one item the result as the agent sent
// it or
// {"error": {code, kind, message, hint}}; for several an array of those, in the order of the arguments.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ctl/client.h"
#include "ctl/print.h"
#include "proto/codec.h"
#include "proto/methods.h"

namespace jump::ctl {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;  // refused or failed
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNoAgent = 3;
// Of the same, when the agent cannot be talked to: 3 when none runs, as everywhere, else 255.
inline int exit_unconnected(const Error& error) { return error.code == Errc::kUnreachable ? 3 : 255; }
inline constexpr int kExitSsh = 255;  // of exec, shell and proxy: SSH itself failed

struct Options {
  std::string program = "jumpctl";  // begins the lines on stderr
  std::string socket;               // --socket; empty: control_socket_path()'s choice
  bool json = false;
  bool no_input = false;            // --no-input: the person is not asked anything
  std::optional<Duration> timeout;  // none: the verb's own
  std::string via;
  std::string name;
  std::optional<std::uint64_t> prewarm;
  bool persist = false;
  bool hold = false;
  bool all = false;
  // --- sessions ---
  enum class Tty { kAuto, kNo, kYes, kForce };
  Tty tty = Tty::kAuto;               // -T, -t, -tt
  std::optional<bool> forward_agent;  // -A, -a; none: as ssh_config says
  bool subsystem = false;             // -s
  bool no_stdin = false;              // -n
  bool fdpass = false;
  std::string path;  // of a socket
  bool install = false;
  bool mux = false;                    // of ssh-config
  std::vector<std::string> arguments;  // of the verb

  Duration timeout_or(Duration fallback) const { return timeout.value_or(fallback); }
};

// The verbs; each returns an exit code.
int connect_hosts(const Options& options);
int disconnect_hosts(const Options& options);
int open_forwards(const Options& options);
int open_reverse(const Options& options);
int open_socks(const Options& options);
int close_forwards(const Options& options);
int list_forwards(const Options& options);
int show_status(const Options& options);
int watch_events(const Options& options);
int run_doctor(const Options& options);
int print_completion(const Options& options);
int run_command(const Options& options);
int run_shell(const Options& options);
int open_proxy(const Options& options);
int print_ssh_config(const Options& options);
int serve_to_ssh(const Options& options);
// Ends the agent and waits until it is gone (`jumpagent down`).
int shut_down(const Options& options);
int shut_down(const Options& options, const proto::AgentShutdownParams& params);
// Has the agent read its config file again (`jumpagent reload`).
int reload_config(const Options& options);

// --- for the verbs ---

struct Call {
  std::string item;  // what the user named, for messages; empty when there is nothing to name
  proto::Json params;
};

// A result as text for people, each line ending in '\n'.
using Render = std::function<Result<std::string>(const proto::Json& result, Style style)>;

// Whether a verb may make the agent log in somewhere: then its person answers what the login asks.
enum class Login { kNever, kMaybe };

Result<Client> connect_client(const Options& options, Answerer* answerer = nullptr);
// Why connect_client() failed.
int fail_unconnected(const Options& options, const Error& error);

// So long what an agent leaves to the one that takes its place is asked again: more than a handover may take.
inline constexpr Duration kReplacementMax = seconds(22);
inline constexpr Duration kReplacementPause = milliseconds(50);

template <class T>
bool is_replaced(const Result<T>& answer) {
  return !answer.ok() && answer.error().code == Errc::kReplaced;
}
bool is_replaced(const std::vector<Outcome>& outcomes);  // any of them

// `ask(Client&)`, until another agent than one that is being replaced has answered; *client is the one to
// that agent then. What was not begun may be asked again.
template <class Ask>
auto ask_heir_too(const Options& options, Answerer* answerer, Result<Client>* client, Ask ask) {
  const TimePoint end = Clock::now() + std::min(options.timeout_or(kReplacementMax), kReplacementMax);
  auto answer = ask(**client);
  while (is_replaced(answer) && Clock::now() < end) {
    std::this_thread::sleep_for(kReplacementPause);
    Result<Client> heir = connect_client(options, answerer);
    if (!heir.ok()) break;
    *client = std::move(heir);
    answer = ask(**client);
  }
  return answer;
}
// Client::call_all(), of which only what was not done is asked again.
std::vector<Outcome> call_all_heir_too(const Options& options, Answerer* answerer, Result<Client>* client,
                                       std::string_view method, const std::vector<proto::Json>& params,
                                       Duration timeout);
// connect_client(), the calls, report().
int run_calls(const Options& options, std::string_view method, const std::vector<Call>& calls,
              Duration timeout, const Render& render, Login login = Login::kNever);
// What came of them: on stdout, and on stderr. `one_document`: with --json a single one is not in an array.
int report(const Options& options, const std::vector<Call>& calls, std::vector<Outcome> outcomes,
           const Render& render, bool one_document = true);
// Says on stderr, and with --json on stdout, why nothing was done. Returns `exit_code`.
int fail(const Options& options, const Error& error, int exit_code, int rpc_code = proto::kFailed);
// The same for an error whose message is several lines, each of them complete.
int fail_lines(const Options& options, const Error& error, int exit_code);
// kExitFailed when stdout did not take everything (a full disk, a closed pipe), else `exit_code`.
int finish_output(const Options& options, int exit_code);

// A call of one typed method; `text` makes text of its result.
template <class P, class R, class Text>
Render render_with(const proto::Method<P, R>&, Text text) {
  return [text](const proto::Json& json, Style style) -> Result<std::string> {
    Result<R> result = proto::decode_result<R>(json);
    if (!result.ok()) return Error{Errc::kProtocol, result.error().message, {}}.context("the agent's answer");
    return text(*result, style);
  };
}

}  // namespace jump::ctl
