// A connection to the agent's Unix socket: lines out, lines in, each wait with a deadline. Blocking for its
// caller; reads and writes go on together, so neither side can make the other wait for ever.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "proto/line_framer.h"
#include "proto/wiped_buffer.h"

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

  // Is sent while next_line() waits, and wiped then: it may hold an answer to a question.
  void queue(std::string_view bytes) { out_.append(bytes); }
  // They go with the next bytes that are sent: call it when all before them has been sent, as after an answer.
  // They stay the caller's.
  void pass(std::vector<int> descriptors) { passed_ = std::move(descriptors); }
  // *line is good until the next call. Errors: kTimeout, kClosed, kProtocol (longer than kMaxAnswer); of what could
  // not be sent: kClosed, kLimit, kInvalid, kInternal.
  Status next_line(TimePoint deadline, std::string_view* line);
  // The same, but comes back as well when one of `others` can be read; *line is empty then.
  Status next_line_or(TimePoint deadline, std::string_view* line, std::span<const int> others);

  // Nothing more is sent.
  void end_input();

  pid_t peer_pid() const { return peer_pid_; }  // 0 where the system does not tell

 private:
  enum class Ready { kConnection, kOther };
  Result<Ready> wait(TimePoint deadline, std::span<const int> others);
  void flush();
  ssize_t send_some();
  bool receive();

  Fd descriptor_;
  pid_t peer_pid_ = 0;
  proto::WipedBuffer out_;
  std::vector<int> passed_;
  proto::LineFramer framer_{kMaxAnswer};
  bool eof_ = false;
  int send_error_ = 0;  // errno; the rest of what was queued is lost
};

}  // namespace jump::ctl
