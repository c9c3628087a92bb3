#include "session/session_facts.h"

namespace jump {
namespace {

const char* state_name(Session::State state) {
  switch (state) {
    case Session::State::kWaiting:
    case Session::State::kPlacing:
      return "waiting";
    case Session::State::kOpening:
    case Session::State::kStarting:
      return "opening";
    case Session::State::kRunning:
      return "running";
    case Session::State::kFlushing:
    case Session::State::kEnded:
      break;
  }
  return "ending";
}

const char* state_name(StreamRelay::State state) {
  static constexpr const char* kNames[] = {"waiting", "opening", "running", "ending"};
  return kNames[static_cast<int>(state)];
}

}  // namespace

void fill_facts(const Session& session, SessionFacts& facts) {
  const SessionRequest& request = session.request();
  static constexpr const char* kKinds[] = {"shell", "command", "subsystem"};
  facts.kind = kKinds[static_cast<int>(request.kind)];
  facts.host = session.host().name();
  facts.what = request.command;
  facts.state = state_name(session.state());
  facts.terminal = session.has_terminal();
  facts.bytes_in = session.counters().bytes_in;
  facts.bytes_out = session.counters().bytes_out;
  facts.since = session.since();
}

void fill_facts(const StreamRelay& stream, SessionFacts& facts) {
  facts.kind = "stream";
  facts.host = stream.host().name();
  facts.what = stream.target().to_string();
  facts.state = state_name(stream.state());
  facts.bytes_in = stream.bytes_in();
  facts.bytes_out = stream.bytes_out();
  facts.since = stream.since();
}

}  // namespace jump
