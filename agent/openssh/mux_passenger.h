// MuxPassenger: what a client of a multiplexing socket waits for: its session, or its stdio forward (`ssh
// -W`).
//
//   descriptors, request ─► Session or StreamRelay ─► `opened` ─► `ended`, with the exit status
//
// A session that cannot be had is told on the client's own stderr, and ends with 255: a refusal by message
// would make `ssh` log in a second time by itself. Invariants: `opened` once, then `ended` once, from the
// loop; destroying it ends it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "openssh/mux_client.h"
#include "openssh/mux_services.h"
#include "session/session.h"
#include "session/stream_relay.h"

namespace jump {

class MuxPassenger final : public Sessions::Member {
 public:
  // Of ssh, when SSH itself fails.
  static constexpr std::uint32_t kFailed = 255;

  struct Events {
    std::function<void(const Status& outcome)> opened;  // an error: of a stdio forward only
    std::function<void()> no_terminal;                  // after opened: the server gives none
    std::function<void(std::optional<std::uint32_t> exit_status)> ended;
  };

  MuxPassenger(const MuxServices& services, Host& host, Events events);
  ~MuxPassenger();

  void begin_session(const MuxNewSession& wanted, std::vector<Fd> descriptors, std::string agent_socket);
  void begin_stdio_forward(const MuxEnd& target, std::vector<Fd> descriptors);
  // It has begun, and not ended: end_now() ends it in good order.
  bool runs() const;
  // Reads the terminal's size again.
  void resize();

  SessionFacts facts() const override;
  void end_now(const Error& reason) override;

 private:
  void start_session(SessionRequest request, std::vector<Fd> descriptors);
  void fail_session(const Error& error);
  void on_session_end(const SessionEnd& end);
  void later(std::function<void()> call);
  void say(const std::string& line);

  const MuxServices& services_;
  Host& host_;
  const Events events_;
  std::unique_ptr<Sessions::Membership> membership_;
  Fd terminal_;                // whose size is asked for
  Fd complaints_;              // the client's stderr, as long as a failure may have to be told
  bool raw_terminal_ = false;  // lines end in CRLF then
  std::unique_ptr<ByteStream> complaint_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<StreamRelay> relay_;
  std::unique_ptr<ByteStream> stdio_;  // until the target has accepted
  std::unique_ptr<Deferred> soon_;
  std::function<void()> call_;
};

}  // namespace jump
