// A connection to the agent's Unix socket: lines out, lines in, each wait with a deadline. Blocking for its
// caller; reads and writes go on together, so neither side can make the other wait for ever.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "proto/line_framer.h"

namespace jump::ctl {

class Connection {
 public:
  // An answer's cap. The agent is trusted with more than kMaxLine: a status of thousands of forwards is one
  // line.
  static constexpr std::size_t kMaxAnswer = 64 << 20;

  // Errors: kUnreachable (nobody listens there), kRefused (not ours, or not allowed), kTimeout.
  static Result<Connection> open(const std::string& path, TimePoint deadline);
  // Takes over a connected socket.
  explicit Connection(int descriptor);
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;

  // Is sent while next_line() waits.
  void queue(std::string_view bytes) { out_.append(bytes); }
  // *line is good until the next call. Errors: kTimeout, kClosed, kProtocol (longer than kMaxAnswer).
  Status next_line(TimePoint deadline, std::string_view* line);

  pid_t peer_pid() const { return peer_pid_; }  // 0 where the system does not tell

 private:
  Status wait(TimePoint deadline);
  void flush();
  void receive();

  int descriptor_;
  pid_t peer_pid_ = 0;
  std::string out_;
  proto::LineFramer framer_{kMaxAnswer};
  bool eof_ = false;
};

}  // namespace jump::ctl
