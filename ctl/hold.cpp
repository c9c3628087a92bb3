#include "ctl/hold.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ctl/end_signals.h"
#include "ctl/output.h"

namespace jump::ctl {
namespace {

// For the agent to let go of the forwards, which takes it no waiting: what asks for the same port next should
// find it free.
constexpr Duration kLetGo = seconds(1);

void erase_missing(std::set<std::string>& ids, const proto::EventsSnapshot& snapshot) {
  std::erase_if(ids, [&snapshot](const std::string& id) {
    return std::none_of(snapshot.forwards.begin(), snapshot.forwards.end(),
                        [&id](const proto::ForwardStatus& each) { return each.id == id; });
  });
}

// Takes out of `ids` what the agent says is gone.
void heed(std::string_view line, std::set<std::string>& ids) {
  const Result<proto::Answer> said = proto::parse_answer(line);
  if (!said.ok()) return;
  if (said->method == proto::notification::kEvent.name) {
    const auto event = proto::decode_params<proto::Event>(said->result);
    if (event.ok() && event->kind == "forward" && event->action == "removed") ids.erase(event->id);
  } else if (said->method == proto::notification::kEventsLagged.name) {
    const auto lagged = proto::decode_params<proto::EventsLagged>(said->result);
    if (lagged.ok()) erase_missing(ids, lagged->snapshot);
  }
}

enum class End { kSignal, kClosed, kAgent };

End wait_for_end(Client& client, int enough, std::set<std::string>& ids) {
  proto::EventsSubscribeParams forwards;
  forwards.kinds = {"forward"};
  // An agent that tells nothing of them is no reason not to hold them.
  const auto begun = client.call(proto::method::kEventsSubscribe, forwards, kDefaultTimeout);
  if (begun.ok()) erase_missing(ids, begun->snapshot);
  while (!ids.empty()) {
    std::string_view line;
    if (!client.next_line_or({&enough, 1}, &line).ok()) return End::kAgent;
    if (line.empty()) return End::kSignal;
    heed(line, ids);
  }
  return End::kClosed;
}

}  // namespace

int hold(const Options& options, Client client, std::set<std::string> ids) {
  const int enough = watch_end_signals();
  if (enough < 0) {
    return fail(options, Error{Errc::kInternal, fmt::format("pipe: {}", std::strerror(errno)), {}},
                kExitFailed);
  }
  if (::isatty(STDERR_FILENO) == 1)
    write_err(fmt::format("{}: open until this command ends (Ctrl-C)\n", options.program));
  switch (wait_for_end(client, enough, ids)) {
    case End::kSignal:
      client.say_goodbye(kLetGo);
      return kExitDone;
    case End::kClosed:
      write_err(fmt::format("{}: nothing is left to hold: it was closed\n", options.program));
      return kExitFailed;
    case End::kAgent:
      break;
  }
  write_err(fmt::format("{}: the agent has ended, and {} with it\n", options.program,
                        ids.size() == 1 ? "the forward" : fmt::format("the {} forwards", ids.size())));
  return kExitFailed;
}

}  // namespace jump::ctl
