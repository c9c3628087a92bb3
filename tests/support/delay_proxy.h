// A long way for TCP, in one process and one thread: connections to its port reach the target port with half
// a round trip of delay in each direction and, if asked for, through one bottleneck that all of them share.
//
// The model, per direction:   sockets ─► [ FIFO queue ─► rate ] ─► delay ─► sockets
//   - Without a rate there is no queue: bytes are read as soon as they are there and written half a round
//   trip later.
//   - With a rate, bytes leave the queue at that pace, whichever connection they belong to. Nothing is ever
//   dropped: a
//     full queue is not read into, so that TCP stops the senders, and one that has room is filled by the
//     waiting connections in turn, a few hundred microseconds' worth each.
//   - `queue` is meant to be all the queue there is. So the kernel's buffers before it are kept small: a
//   receive buffer
//     of 64 KiB, and segments of an Ethernet's size in place of loopback's 64 KiB, because the kernel sizes a
//     sender's buffer by its segments: 2.5 MB at the beginning on loopback, 87 KB with these.
//   - `flight` bounds what a connection has between its two ends, as a receiver's TCP window would: what a
//   receiver
//     leaves unread stops its sender, and nobody else.
// What it does not model: loss, the slow start of TCP, and the round trip of TCP's own handshake.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "support/unique_fd.h"

namespace jump::test {

struct DelayProxyOptions {
  Duration round_trip = Duration::zero();  // that is added: half of it each way
  std::uint64_t rate = 0;         // bytes per second and direction, of all connections together; 0: no limit
  std::size_t queue = 1 << 20;    // bytes that may wait for the bottleneck, per direction
  std::size_t flight = 64 << 20;  // bytes on their way, per connection and direction
};

class DelayProxy {
 public:
  // Listening on 127.0.0.1 when the constructor returns.
  DelayProxy(std::uint16_t target_port, DelayProxyOptions options);
  ~DelayProxy();
  DelayProxy(const DelayProxy&) = delete;
  DelayProxy& operator=(const DelayProxy&) = delete;

  std::uint16_t port() const { return port_; }
  std::size_t accepted() const { return accepted_; }
  std::uint64_t bytes_to_target() const { return carried_[0]; }
  std::uint64_t bytes_from_target() const { return carried_[1]; }

 private:
  class Path;
  class Engine;

  UniqueFd listener_;
  UniqueFd stop_;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> accepted_{0};
  std::atomic<std::uint64_t> carried_[2] = {0, 0};  // delivered
  std::thread thread_;
};

}  // namespace jump::test
