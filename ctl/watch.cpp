// jumpctl watch: how everything is, then what changes, until Ctrl-C, the agent's end, or the end of whoever
// reads its output. With --json the agent's own lines: first the result of the subscription, then each
// notification.
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

#include "ctl/end_signals.h"
#include "ctl/output.h"
#include "ctl/verb.h"
#include "ctl/watch_text.h"

namespace jump::ctl {
namespace {

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

// Whoever read our output has gone. Only of a pipe can that be told without writing.
bool nobody_reads() {
  pollfd poller = {STDOUT_FILENO, 0, 0};
  return ::poll(&poller, 1, 0) > 0 && (poller.revents & POLLERR) != 0;
}

// One that can be read as well could always be ready.
bool stdout_is_pipe() {
  struct stat info = {};
  return ::fstat(STDOUT_FILENO, &info) == 0 && S_ISFIFO(info.st_mode) &&
         (::fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

// Where the lines go. Once say() was false, over() is the exit code.
class Output {
 public:
  explicit Output(const Options& options) : options_(options), on_terminal_(::isatty(STDOUT_FILENO) == 1) {}

  bool begin(const proto::Json& result) {
    if (options_.json) return write(result.dump() + "\n");
    auto begun = proto::decode_result<proto::EventsSubscribeResult>(result);
    if (!begun.ok()) return broken(begun.error());
    return write(text_.begin(begun->snapshot, time_of_day()));
  }

  bool say(std::string_view line) {
    if (options_.json) return write(std::string(line) + "\n");
    Result<proto::Answer> answer = proto::parse_answer(line);
    if (!answer.ok()) return broken(answer.error());
    if (answer->method == proto::notification::kEvent.name) return say_as<proto::Event>(answer->result);
    if (answer->method == proto::notification::kEventsLagged.name)
      return say_as<proto::EventsLagged>(answer->result);
    return true;  // of a newer agent
  }

  int over() const { return exit_code_; }

 private:
  template <class Message>
  bool say_as(const proto::Json& params) {
    Result<Message> message = proto::decode_params<Message>(params);
    return message.ok() ? write(text_.tell(*message, time_of_day())) : broken(message.error());
  }

  bool write(const std::string& lines) {
    // A terminal must not be commanded by what a server wrote.
    write_out(options_.json && on_terminal_ ? sanitized(lines.substr(0, lines.size() - 1)) + "\n" : lines);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
    const bool quiet = errno == EPIPE || end_signalled();
    exit_code_ = quiet ? kExitDone : finish_output(options_, kExitFailed);
    return false;
  }

  bool broken(const Error& error) {
    write_err(fmt::format("{}: the agent's events: {}\n", options_.program, sanitized(error.message)));
    exit_code_ = kExitFailed;
    return false;
  }

  const Options& options_;
  const bool on_terminal_;
  WatchText text_;
  int exit_code_ = kExitDone;
};

int follow(const Options& options, Client& client, Output& output, int ended) {
  std::vector<int> others = {ended};
  if (stdout_is_pipe()) others.push_back(STDOUT_FILENO);
  std::string_view line;
  while (true) {
    const Status status = client.next_line_or(others, &line);
    if (end_signalled()) return kExitDone;
    if (!status.ok()) {
      const bool closed = status.error().code == Errc::kClosed;
      write_err(fmt::format("{}: {}\n", options.program,
                            closed ? "the agent has ended" : sanitized(status.error().message)));
      return kExitFailed;
    }
    if (line.empty()) {
      if (nobody_reads()) return kExitDone;
    } else if (!output.say(line)) {
      return output.over();
    }
  }
}

}  // namespace

int watch_events(const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  const int ended = watch_end_signals();
  if (ended < 0)
    return fail(options, Error{Errc::kInternal, fmt::format("pipe: {}", std::strerror(errno)), {}},
                kExitFailed);
  Result<Client> client = connect_client(options);
  if (!client.ok()) {
    return fail(options, client.error(),
                client.error().code == Errc::kUnreachable ? kExitNoAgent : kExitFailed);
  }
  const auto& method = proto::method::kEventsSubscribe;
  const Outcome begun = client
                            ->call_all(method.name, {proto::encode(proto::EventsSubscribeParams{})},
                                       options.timeout_or(kDefaultTimeout))
                            .front();
  if (begun.error) return fail(options, proto::to_error(*begun.error), kExitFailed, begun.error->code);
  Output output(options);
  if (!output.begin(begun.result)) return output.over();
  return follow(options, *client, output, ended);
}

}  // namespace jump::ctl
