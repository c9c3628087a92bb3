#include "bench/typing.h"

#include "support/eventually.h"
#include "support/setup_error.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::Socket;

constexpr Duration kInterval = milliseconds(20);
constexpr std::size_t kSize = 32;
constexpr Duration kStall = seconds(30);

}  // namespace

void Background::run() {
  auto socket = Socket::connect_tcp(port_);
  if (!socket || !socket->send_all("!")) broken_ = true;
  Bytes buffer(StreamPattern::kRun);
  while (!broken_) {
    std::size_t got = 0;
    const test::StreamEnd end = socket->receive_some(buffer, &got, kStall);
    if (end == test::StreamEnd::kEof && stop_) return;
    if (end != test::StreamEnd::kOpen || !pattern_.matches(received_, {buffer.data(), got})) broken_ = true;
    received_ += got;
    if (stop_) socket->shutdown_write();
  }
}

std::vector<double> type(Socket& socket, const StreamPattern& pattern, Duration how_long) {
  std::vector<TimePoint> sent;
  std::vector<double> times;
  const TimePoint start = Clock::now();
  Bytes come;
  while (Clock::now() < start + how_long || times.size() < sent.size()) {
    const TimePoint due = start + kInterval * static_cast<int>(sent.size());
    const bool sending = due < start + how_long;
    if (sending && Clock::now() >= due) {
      sent.push_back(Clock::now());
      if (!socket.send_all(ByteView(pattern.at((sent.size() - 1) * kSize), kSize)))
        setup_error("the echo broke");
      continue;
    }
    std::uint8_t buffer[4096];
    std::size_t got = 0;
    const Duration wait = sending ? due - Clock::now() : kStall;
    const test::StreamEnd end = socket.receive_some(buffer, &got, wait);
    if (end != test::StreamEnd::kOpen && !(sending && end == test::StreamEnd::kTimeout))
      setup_error("the echo broke");
    come.insert(come.end(), buffer, buffer + got);
    while (come.size() >= kSize) {
      if (!pattern.matches(times.size() * kSize, ByteView(come).first(kSize)))
        setup_error("the echo brought wrong bytes");
      times.push_back(to_seconds(Clock::now() - sent[times.size()]) * 1e3);
      come.erase(come.begin(), come.begin() + kSize);
    }
  }
  return times;
}

}  // namespace jump::bench
