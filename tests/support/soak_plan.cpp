#include "support/soak_plan.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <thread>

#include "support/pattern.h"

namespace jump::test {

namespace {

constexpr std::size_t kPiece = 64 * 1024;
// The longest planned stall is two seconds; the rest is for machines that are busy with other tests.
constexpr milliseconds kStuckAfter = seconds(60);

std::uint32_t below(std::mt19937_64& random, std::uint32_t bound) {
  return static_cast<std::uint32_t>(random() % bound);
}

// Mostly a few bytes, sometimes more than a window.
std::uint32_t draw_size(std::mt19937_64& random) {
  const std::uint32_t kind = below(random, 100);
  if (kind < 10) return 0;
  if (kind < 55) return below(random, 1024);
  if (kind < 88) return below(random, 100 * 1024);
  if (kind < 97) return below(random, 2 << 20);
  return below(random, 24 << 20);
}

void draw_mishap(std::mt19937_64& random, SoakPart& part) {
  const std::uint32_t kind = below(random, 100);
  if (kind < 65) return;
  part.mishap = kind < 85 ? SoakMishap::kStalls : kind < 93 ? SoakMishap::kResets : SoakMishap::kCloses;
  part.stall_ms = static_cast<std::uint16_t>(below(random, below(random, 10) == 0 ? 2000 : 200));
  part.mishap_at = below(random, part.send_size + part.expect_size + 1);
}

// A pattern that is compared with what comes, or sent, piece by piece.
class PatternCursor {
 public:
  PatternCursor(std::uint64_t seed, std::size_t size) : pattern_(seed), left_(size) {}

  std::size_t left() const { return left_; }
  ByteView ahead() {
    if (at_ == piece_.size() && left_ > 0) {
      piece_.resize(std::min(kPiece, left_));
      pattern_.fill(piece_);
      at_ = 0;
    }
    return ByteView(piece_).subspan(at_);
  }
  void advance(std::size_t count) {
    at_ += count;
    left_ -= count;
  }
  bool matches(ByteView data) {
    while (!data.empty()) {
      const ByteView expected = ahead();
      const std::size_t count = std::min(expected.size(), data.size());
      if (count == 0 || std::memcmp(expected.data(), data.data(), count) != 0) return false;
      advance(count);
      data = data.subspan(count);
    }
    return true;
  }

 private:
  Pattern pattern_;
  Bytes piece_;
  std::size_t at_ = 0;
  std::size_t left_;
};

class Player {
 public:
  Player(Socket& socket, const SoakPart& part, std::uint64_t* moved)
      : socket_(socket),
        part_(part),
        moved_(*moved),
        outgoing_(part.send_seed, part.send_size),
        incoming_(part.expect_seed, part.expect_size),
        mishap_due_(part.mishap != SoakMishap::kNone) {}

  SoakEnd play() {
    while (!end_ && !(got_end_ && sent_end_)) step();
    if (end_) return *end_;
    return incoming_.left() == 0 ? SoakEnd::kComplete : SoakEnd::kShort;
  }

 private:
  void step() {
    if (mishap_due_ && sent_ + received_ >= part_.mishap_at) return have_mishap();
    if (outgoing_.left() == 0 && !sent_end_ && !must_wait()) {
      socket_.shutdown_write();
      sent_end_ = true;
      return;
    }
    pollfd polled{socket_.fd(), 0, 0};
    if (!got_end_) polled.events |= POLLIN;
    if (sendable() > 0) polled.events |= POLLOUT;
    if (::poll(&polled, 1, static_cast<int>(kStuckAfter.count())) == 0) {
      end_ = SoakEnd::kStuck;
      return;
    }
    if (polled.revents & (POLLIN | POLLERR | POLLHUP)) receive();
    if (!end_ && sendable() > 0) send();
  }

  bool must_wait() const { return part_.pace == SoakPace::kAfterEnd && !got_end_; }

  std::size_t sendable() {
    if (must_wait() || sent_end_) return 0;
    std::size_t most = outgoing_.ahead().size();
    // The other side's end sets an echo free: it may have been cut short.
    if (part_.pace == SoakPace::kEchoing && !got_end_)
      most = std::min(most, received_ - std::min(received_, sent_));
    // So that a mishap comes after its number of bytes, and not up to a buffer later.
    if (mishap_due_) most = std::min(most, std::max<std::size_t>(part_.mishap_at - sent_ - received_, 1));
    return most;
  }

  void receive() {
    Bytes buffer(kPiece);
    const ssize_t got = ::recv(socket_.fd(), buffer.data(), buffer.size(), 0);
    if (got < 0) return failed();
    if (got == 0) {
      got_end_ = true;
      return;
    }
    received_ += static_cast<std::size_t>(got);
    moved_ += static_cast<std::uint64_t>(got);
    if (!incoming_.matches(ByteView(buffer).first(static_cast<std::size_t>(got)))) end_ = SoakEnd::kWrong;
  }

  void send() {
    const ssize_t sent = ::send(socket_.fd(), outgoing_.ahead().data(), sendable(), MSG_NOSIGNAL);
    if (sent < 0) return failed();
    outgoing_.advance(static_cast<std::size_t>(sent));
    sent_ += static_cast<std::size_t>(sent);
    moved_ += static_cast<std::uint64_t>(sent);
  }

  void failed() {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) end_ = SoakEnd::kBroken;
  }

  void have_mishap() {
    mishap_due_ = false;
    if (part_.mishap == SoakMishap::kStalls) {
      std::this_thread::sleep_for(milliseconds(part_.stall_ms));
      return;
    }
    if (part_.mishap == SoakMishap::kResets) {
      socket_.reset();
    } else {
      socket_.close();
    }
    end_ = SoakEnd::kCut;
  }

  Socket& socket_;
  const SoakPart& part_;
  std::uint64_t& moved_;
  PatternCursor outgoing_;
  PatternCursor incoming_;
  std::size_t sent_ = 0, received_ = 0;
  bool got_end_ = false, sent_end_ = false;
  bool mishap_due_;
  std::optional<SoakEnd> end_;
};

void put(std::uint8_t*& at, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
}

std::uint64_t take(const std::uint8_t*& at, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::uint64_t{*at++} << (8 * i);
  return value;
}

void put_part(std::uint8_t*& at, const SoakPart& part) {
  put(at, static_cast<std::uint8_t>(part.pace), 1);
  put(at, static_cast<std::uint8_t>(part.mishap), 1);
  put(at, part.stall_ms, 2);
  put(at, part.mishap_at, 4);
  put(at, part.send_size, 4);
  put(at, part.expect_size, 4);
  put(at, part.send_seed, 8);
  put(at, part.expect_seed, 8);
}

SoakPart take_part(const std::uint8_t*& at) {
  SoakPart part;
  part.pace = static_cast<SoakPace>(take(at, 1));
  part.mishap = static_cast<SoakMishap>(take(at, 1));
  part.stall_ms = static_cast<std::uint16_t>(take(at, 2));
  part.mishap_at = static_cast<std::uint32_t>(take(at, 4));
  part.send_size = static_cast<std::uint32_t>(take(at, 4));
  part.expect_size = static_cast<std::uint32_t>(take(at, 4));
  part.send_seed = take(at, 8);
  part.expect_seed = take(at, 8);
  return part;
}

std::ostream& operator<<(std::ostream& out, const SoakPart& part) {
  static constexpr const char* kPaces[] = {"at once", "echoing", "after the other's end"};
  static constexpr const char* kMishaps[] = {"", ", stalls", ", resets", ", closes"};
  out << "sends " << part.send_size << " " << kPaces[static_cast<int>(part.pace)]
      << kMishaps[static_cast<int>(part.mishap)];
  if (part.mishap != SoakMishap::kNone) out << " at " << part.mishap_at;
  if (part.mishap == SoakMishap::kStalls) out << " for " << part.stall_ms << " ms";
  return out;
}

}  // namespace

SoakPlan SoakPlan::draw(std::mt19937_64& random) {
  SoakPlan plan;
  SoakPart& client = plan.client;
  SoakPart& target = plan.target;
  client.send_seed = target.expect_seed = random();
  target.send_seed = client.expect_seed = random();
  client.send_size = draw_size(random);
  target.send_size = draw_size(random);
  switch (below(random, 5)) {
    case 0:
      target.pace = SoakPace::kEchoing;
      target.send_size = client.send_size;
      target.send_seed = client.expect_seed = client.send_seed;
      break;
    case 1:
      target.pace = SoakPace::kAfterEnd;
      break;
    case 2:
      client.pace = SoakPace::kAfterEnd;
      break;
    default:
      break;
  }
  target.expect_size = client.send_size;
  client.expect_size = target.send_size;
  draw_mishap(random, client);
  draw_mishap(random, target);
  return plan;
}

SoakPlan::Encoded SoakPlan::encode() const {
  Encoded bytes{};
  std::uint8_t* at = bytes.data();
  put_part(at, client);
  put_part(at, target);
  return bytes;
}

SoakPlan SoakPlan::decode(ByteView bytes) {
  const std::uint8_t* at = bytes.data();
  SoakPlan plan;
  plan.client = take_part(at);
  plan.target = take_part(at);
  return plan;
}

std::ostream& operator<<(std::ostream& out, const SoakPlan& plan) {
  return out << "client " << plan.client << "; target " << plan.target;
}

const char* soak_end_name(SoakEnd end) {
  static constexpr const char* kNames[] = {"complete", "cut", "broken", "short", "wrong bytes", "stuck"};
  return kNames[static_cast<int>(end)];
}

SoakEnd play(Socket& socket, const SoakPart& part, std::uint64_t* moved) {
  return Player(socket, part, moved).play();
}

}  // namespace jump::test
