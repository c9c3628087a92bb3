// A storm of clients from one thread: connects any number of times at once to a port that leads to an echo,
// and checks that each connection gets its own bytes back, each time it is asked.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "support/unique_fd.h"

namespace jump::bench {

class ManyConnections {
 public:
  // Begins all `count` connections before it looks at the first answer.
  ManyConnections(std::uint16_t port, std::size_t count, Duration deadline);

  // Those whose bytes came back.
  std::size_t succeeded() const { return first_byte_ms_.size(); }
  // From each one's connect() to the first byte of its echo.
  const std::vector<double>& first_byte_ms() const { return first_byte_ms_; }
  // From the first connect() to the last echo.
  double seconds_for_all() const { return seconds_for_all_; }

  // Another round of echoes on all that succeeded: how many of them answered rightly.
  std::size_t count_alive(Duration deadline);

 private:
  static constexpr std::size_t kMessage = 16;
  struct Connection {
    test::UniqueFd fd;
    TimePoint began;
    std::uint8_t received[kMessage] = {};
    std::size_t have = 0;
    bool sent = false;
    bool failed = false;
  };

  // Each connection its own, and each time another one.
  void message(std::size_t index, std::uint8_t (&out)[kMessage]) const;
  // Until all have their echo or failed; how many have it.
  std::size_t exchange(std::size_t expected, Duration deadline, std::vector<double>* first_byte_ms);
  // Whether that connection has come to its end, well or badly.
  bool advance(std::size_t index, std::uint32_t events, std::vector<double>* first_byte_ms);

  test::UniqueFd epoll_;
  std::vector<Connection> connections_;
  std::uint64_t turn_ = 0;
  std::vector<double> first_byte_ms_;
  double seconds_for_all_ = 0;
};

}  // namespace jump::bench
