// MuxClient: one client of our control socket, as OpenSSH's master has it, sans-IO. Bytes and descriptors in,
// typed requests out, answers in, bytes out.
//
//   feed() ─► hello ─► request [─► its descriptors] ─► take_request() ─► answer() ─► the next request …
//                                                                      └► a passenger: its session or forward
//                                                                      runs └► proxy: take_proxy_input(),
//                                                                      openssh/proxy_translator
//
// Requests are handed out one at a time and answered in order, as by OpenSSH: the next one is looked at after
// the answer. A client has one passenger (session or stdio forward) at most, and goes with it. Descriptors
// travel on bytes of their own behind their request, one on each; they are held here until all are there, and
// closed where nobody takes them. So a client that sends none waits for itself alone, and not for ever
// (kPatience).
//
// What breaks the protocol ends this client only: error() is set, nothing more is read, and what is in
// output() (the reason, where OpenSSH gives one) is the last. Compatible with OpenSSH's clients, and in what
// happens to others: a second hello, another version, a request before the hello or one that is malformed is
// an end; an unknown request, a second passenger and a forward that makes no sense are answered with a
// failure. Invariants: what is held is bounded (one packet, 3 descriptors, kMaxUnsent and one answer); no
// method calls anybody back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_queue.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "openssh/mux_framer.h"
#include "openssh/mux_messages.h"

namespace jump {

class MuxClient {
 public:
  // What was begun (the hello, a packet, a request's descriptors) is complete by then. Stock clients send
  // each in one go; a stopped machine may take a while.
  static constexpr Duration kPatience = seconds(30);
  // A client that asks and does not read its answers is not looked at beyond this many bytes.
  static constexpr std::size_t kMaxUnsent = 64 * 1024;
  // Read ahead while a request waits for its answer: stock clients send nothing then.
  static constexpr std::size_t kMaxReadAhead = 64 * 1024;
  // Descriptors in hand for requests that are not looked at yet: those of one.
  static constexpr std::size_t kMaxDescriptors = MuxNewSession::kDescriptors;

  enum class State : std::uint8_t {
    kHello,        // waits for the client's hello; ours is in output() from the beginning
    kReady,        // waits for a request
    kDescriptors,  // waits for a request's descriptors
    kAsked,        // a request is to be taken, or to be answered
    kProxy,        // the socket carries SSH packets
    kEnded,        // the passenger has ended; nothing is read any more
    kBroken,       // error() says why
  };
  enum class Passenger : std::uint8_t { kNone, kSession, kStdioForward };

  struct Asked {
    MuxRequest request;
    std::vector<Fd> descriptors;  // as many as descriptors_of(request)
  };

  explicit MuxClient(TimePoint now);

  // --- input ---
  // Bytes as they were read, and the descriptors that came with them.
  void feed(ByteView data, std::vector<Fd> descriptors, TimePoint now);
  void tick(TimePoint now);

  // --- requests out ---
  // Set once in State::kAsked; answer() is due then.
  std::optional<Asked> take_request();
  // One waits to be taken.
  bool has_request() const { return state_ == State::kAsked && request_.has_value(); }

  // --- commands ---
  // Answers the request that was taken; its id is filled in. MuxSessionOpened and MuxProxyStarted change what
  // the client is. Does nothing where the client has ended or broken meanwhile.
  void answer(MuxAnswer answer, TimePoint now);
  // Answers a MuxAliveCheck that was taken with the reason why not.
  void refuse_alive(std::string_view text, TimePoint now);
  // Of a session: the server gives it no TTY.
  void tty_failed();
  // The passenger has ended, a session with that status; nullopt: without one, which `ssh` makes 255 of. The
  // client goes as soon as the output is sent.
  void passenger_ended(std::optional<std::uint32_t> status);
  // What came behind the request for the proxy mode; the caller feeds whatever comes from now on elsewhere.
  Bytes take_proxy_input() { return framer_.take_rest(); }

  // --- output, getters ---
  ByteView output() const { return output_.front(); }
  void consume_output(std::size_t count, TimePoint now);
  State state() const { return state_; }
  Passenger passenger() const { return passenger_; }
  std::uint32_t session_id() const { return session_id_; }  // of the passenger
  // False: stop reading the socket until it is true again.
  bool wants_input() const;
  // Nothing is to come any more, either way: close the socket.
  bool finished() const { return (state_ == State::kEnded || state_ == State::kBroken) && output_.empty(); }
  const Error* error() const { return error_ ? &*error_ : nullptr; }
  std::size_t awaited_descriptors() const;
  // When tick() has something to do; TimePoint::max() when never.
  TimePoint next_deadline() const { return deadline_; }

 private:
  void set_state(State state);
  void process(TimePoint now);
  bool step();
  bool step_hello(ByteView packet);
  void begin_request(ByteView packet);
  bool step_descriptors();
  void complete_request();
  void check_spare_descriptors();
  void watch_patience(TimePoint now);
  void fail_request(std::string_view reason);
  void send(const MuxAnswer& answer);
  void break_off(Error error);

  State state_ = State::kHello;
  Passenger passenger_ = Passenger::kNone;
  std::uint32_t session_id_ = 0;
  MuxFramer framer_;
  std::deque<Fd> spare_;          // came, and no request has taken them yet
  std::optional<Asked> request_;  // being completed, or to be taken
  std::uint32_t request_id_ = 0;  // of the request that is to be answered
  Passenger asks_for_ = Passenger::kNone;
  ByteQueue output_;
  TimePoint deadline_ = TimePoint::max();
  std::optional<Error> error_;
};

std::string_view to_string(MuxClient::State state);

}  // namespace jump
