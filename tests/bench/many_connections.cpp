#include "bench/many_connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "support/eventually.h"
#include "support/setup_error.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::UniqueFd;

constexpr int kEventsPerTurn = 512;
constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15;  // spreads small numbers over all bits

UniqueFd begin_connect(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) setup_error(std::string("no socket for another client: ") + std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    fd.reset();
  }
  return fd;
}

}  // namespace

ManyConnections::ManyConnections(std::uint16_t port, std::size_t count, Duration deadline)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), connections_(count) {
  const test::Stopwatch time;
  std::size_t begun = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Connection& c = connections_[i];
    c.began = Clock::now();
    c.fd = begin_connect(port);
    c.failed = !c.fd;
    if (c.failed) continue;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u64 = i;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, c.fd.get(), &event);
    ++begun;
  }
  first_byte_ms_.reserve(count);
  exchange(begun, deadline, &first_byte_ms_);
  seconds_for_all_ = to_seconds(time.elapsed());
}

std::size_t ManyConnections::count_alive(Duration deadline) {
  ++turn_;
  std::size_t asked = 0, alive = 0;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& c = connections_[i];
    if (c.failed || c.have < kMessage) continue;
    c.have = 0;
    c.sent = false;
    ++asked;
    // Sent now; the answer cannot be complete before exchange() looks, but for what the edge then reports.
    if (advance(i, EPOLLOUT, nullptr)) {
      --asked;
      alive += c.failed ? 0 : 1;
    }
  }
  return alive + exchange(asked, deadline, nullptr);
}

void ManyConnections::message(std::size_t index, std::uint8_t (&out)[kMessage]) const {
  const std::uint64_t words[2] = {(index + 1) * kMix, (turn_ + 1) * kMix ^ index};
  static_assert(sizeof words == kMessage);
  std::memcpy(out, words, kMessage);
}

std::size_t ManyConnections::exchange(std::size_t expected, Duration deadline,
                                      std::vector<double>* first_byte_ms) {
  const TimePoint end = Clock::now() + deadline;
  std::size_t ended = 0, well = 0;
  epoll_event events[kEventsPerTurn];
  while (ended < expected && Clock::now() < end) {
    const int count = ::epoll_wait(epoll_.get(), events, kEventsPerTurn, 100);
    for (int i = 0; i < count; ++i) {
      Connection& c = connections_[events[i].data.u64];
      if (c.failed || c.have == kMessage) continue;
      if (!advance(events[i].data.u64, events[i].events, first_byte_ms)) continue;
      ++ended;
      if (!c.failed) ++well;
    }
  }
  return well;
}

bool ManyConnections::advance(std::size_t index, std::uint32_t events, std::vector<double>* first_byte_ms) {
  Connection& c = connections_[index];
  std::uint8_t expected[kMessage];
  message(index, expected);
  if (!c.sent && (events & EPOLLOUT)) {
    c.failed = ::send(c.fd.get(), expected, kMessage, MSG_NOSIGNAL) != kMessage;  // also if connecting failed
    c.sent = true;
  }
  while (!c.failed && c.have < kMessage) {
    const ssize_t got = ::recv(c.fd.get(), c.received + c.have, kMessage - c.have, 0);
    if (got < 0 && errno == EAGAIN) return false;
    c.failed = got <= 0;
    if (c.failed) break;
    if (c.have == 0 && first_byte_ms) first_byte_ms->push_back(to_seconds(Clock::now() - c.began) * 1e3);
    c.have += static_cast<std::size_t>(got);
  }
  if (!c.failed && std::memcmp(c.received, expected, kMessage) != 0) {
    setup_error("a connection got bytes that are not its own");
  }
  return true;
}

}  // namespace jump::bench
