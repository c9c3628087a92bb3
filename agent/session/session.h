// Session: one shell, command or subsystem on a host, between a client's three streams and an SSH channel
// (RFC 4254 section 6).
//
//   in.on_data → channel.write            channel.on_data → out.write     extended data → err.write
//   in.on_eof  → channel.shutdown_write   channel's end → out and err are written to their ends → `ended`
//
// The ladder: kWaiting (for the host) → kPlacing (for a connection with room) → kOpening (the channel) →
// kStarting (terminal, environment, the command) → kRunning → kFlushing (the channel has ended; what it gave
// is handed over) → kEnded. A server that refuses the channel as one too many makes it go back to kPlacing.
//
// A reader of stdout that goes away is told to the server ("eow@openssh.com"), whose program then gets
// SIGPIPE; what still comes is dropped. Nothing is buffered here: what a stream does not take, the channel
// keeps; a reader that has paused is waited for as long as its client stays. Invariants: `started` is called
// once, `ended` once after a good start, never from within a method; then all three streams have ended and
// their descriptors are closed. Destroying it ends the remote side, as a hang-up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "channel/channel.h"
#include "route/host.h"
#include "session/agent_forwarding.h"
#include "session/escape_filter.h"
#include "session/session_request.h"
#include "stream/io.h"

namespace jump {

struct SessionStreams {
  std::unique_ptr<ByteStream> in, out, err;
};

struct SessionCounters {
  std::uint64_t bytes_in = 0;   // from the server, both streams
  std::uint64_t bytes_out = 0;  // to the server
};

class Session final : private ChannelEvents {
 public:
  enum class State { kWaiting, kPlacing, kOpening, kStarting, kRunning, kFlushing, kEnded };
  // Connections that are tried when servers refuse the session as one too many: others may be quicker to take
  // the places that become free.
  static constexpr int kMaxTries = 8;

  struct Started {
    bool terminal = false;  // the server has given one
  };
  using StartedCall = std::function<void(Result<Started>)>;
  using EndedCall = std::function<void(const SessionEnd&)>;

  // `host` outlives it. Null streams are taken for /dev/null.
  Session(Io& io, Host& host, std::string id, SessionRequest request, SessionStreams streams);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Within `timeout`. After an error there is no `ended`.
  void start(Host::Asker asker, Duration timeout, StartedCall started, EndedCall ended);

  // What the escape "~#" shows: lines with CRLF. Without it: nothing.
  void set_connections(std::function<std::string()> list) { connections_ = std::move(list); }

  // Harmless where there is no terminal, or no session any more.
  void resize(const TerminalSize& size);
  // "INT", "TERM": RFC 4254 section 6.10. Errors: kLimit, too many wait for the network.
  Status signal(std::string_view name);

  // Ends it now: the channel is cut, `ended` follows, with the reason. Harmless before and after it runs.
  void end(const Error& reason);

  const std::string& id() const { return id_; }
  Host& host() const { return host_; }
  const SessionRequest& request() const { return request_; }
  State state() const { return state_; }
  TimePoint since() const { return since_; }  // start()
  const SessionCounters& counters() const { return counters_; }
  bool has_terminal() const { return started_with_.terminal; }

 private:
  struct Input;
  struct Output;
  struct Remote;

  // ChannelEvents
  void on_opened() override;
  bool on_move(Mux& to) override;
  bool on_request(std::string_view name, ByteView data) override;
  std::size_t on_extended_data(std::uint32_t type, ByteView data) override;

  void on_host(const Result<Mux*>& mux);
  void place();
  void on_place(Result<SessionPool::Place> place);
  void request_all();
  void request_start();
  void on_start_reply(bool success);
  void on_channel_closed(const Error* error);
  bool try_elsewhere(const Error& error);
  void on_output_ended(Output& output, bool broke);
  void run();
  void on_escape(EscapeFilter::Command command, const std::string& text);
  void finish_if_flushed();
  void fail(Error error);
  void set_state(State next);

  Io& io_;
  Host& host_;
  const std::string id_;
  const SessionRequest request_;
  State state_ = State::kWaiting;
  TimePoint since_;
  TimePoint deadline_;
  StartedCall started_;
  EndedCall ended_;
  Started started_with_;
  SessionEnd end_;
  SessionCounters counters_;
  int tries_ = 0;
  Mux* mux_ = nullptr;  // to be compared only
  std::unique_ptr<Input> in_;
  std::unique_ptr<Output> out_, err_;
  std::unique_ptr<Remote> remote_;
  SessionPool::Claim claim_;
  std::unique_ptr<Operation> waiting_;
  std::unique_ptr<Timer> timer_;  // of the start
  std::unique_ptr<Deferred> tell_soon_;
  std::function<void()> tell_;
  std::function<std::string()> connections_;
  std::unique_ptr<Channel> channel_;  // goes first
};

}  // namespace jump
