#include "support/fault_proxy.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <list>

#include "base/bytes.h"
#include "support/setup_error.h"

namespace jump::test {

namespace {

// What a connection may have on its way, per direction: more than the agent and sshd send at a time.
constexpr std::size_t kFlight = 4 << 20;
constexpr std::size_t kPiece = 64 * 1024;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

UniqueFd listen_there(std::uint16_t* port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), generic, length) != 0 || ::listen(fd.get(), 128) != 0 ||
      ::getsockname(fd.get(), generic, &length) != 0)
    setup_error("cannot listen on 127.0.0.1");
  *port = ntohs(address.sin_port);
  return fd;
}

void close_with_reset(UniqueFd& fd) {
  const linger now{1, 0};
  if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.reset();
}

// One direction of a connection.
struct Lane {
  struct Piece {
    TimePoint due;
    Bytes bytes;
    std::size_t sent = 0;
  };
  std::deque<Piece> pieces;
  std::size_t size = 0;
  bool source_ended = false;
  bool end_passed_on = false;
};

struct Path {
  std::array<UniqueFd, 2> end;  // who connected, the target
  std::array<Lane, 2> lane;     // from end[i] to the other
  bool broken = false;
};

}  // namespace

class FaultProxy::Engine {
 public:
  Engine(int listener, int wake, std::uint16_t target) : listener_(listener), wake_(wake), target_(target) {}

  Duration delay{};
  bool stalled = false;
  bool refusing = false;

  void reset_all() {
    for (Path& path : paths_) break_off(path);
    paths_.clear();
  }
  void half_close() {
    for (Path& path : paths_) ::shutdown(path.end[1].get(), SHUT_WR);
  }

  // Waits for something to do, and does it.
  void turn() {
    const TimePoint now = Clock::now();
    std::vector<pollfd> polled = {{wake_, POLLIN, 0}};
    int timeout = -1;
    if (!stalled) {
      polled.push_back({listener_, POLLIN, 0});
      for (Path& path : paths_) {
        for (std::size_t i : {0u, 1u}) polled.push_back(wanted(path, i, now, timeout));
      }
    }
    ::poll(polled.data(), polled.size(), timeout);
    std::uint64_t count = 0;
    if (::read(wake_, &count, sizeof count) < 0 && errno != EAGAIN) std::abort();
    if (stalled) return;
    for (Path& path : paths_) move(path);
    paths_.remove_if([](const Path& path) { return path.broken; });
    accept_all();
  }

 private:
  static pollfd wanted(Path& path, std::size_t i, TimePoint now, int& timeout) {
    pollfd polled{path.end[i].get(), 0, 0};
    const Lane& from = path.lane[i];
    const Lane& to = path.lane[1 - i];
    if (!from.source_ended && from.size < kFlight) polled.events |= POLLIN;
    if (!to.pieces.empty()) {
      if (to.pieces.front().due <= now) {
        polled.events |= POLLOUT;
      } else {
        const auto wait = std::chrono::duration_cast<milliseconds>(to.pieces.front().due - now).count() + 1;
        timeout = timeout < 0 ? static_cast<int>(wait) : std::min(timeout, static_cast<int>(wait));
      }
    }
    // Nothing but an error would be told, again and again, by one whose both directions are over.
    if (polled.events == 0 && from.source_ended) polled.fd = -1;
    return polled;
  }

  void accept_all() {
    while (true) {
      UniqueFd fd(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      if (refusing) {
        close_with_reset(fd);
        continue;
      }
      UniqueFd target(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in address = loopback(target_);
      // On this machine an answer comes at once.
      if (::connect(target.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close_with_reset(fd);
        continue;
      }
      ::fcntl(target.get(), F_SETFL, O_NONBLOCK);
      const int on = 1;
      for (int each : {fd.get(), target.get()}) ::setsockopt(each, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Path& path = paths_.emplace_back();
      path.end[0] = std::move(fd);
      path.end[1] = std::move(target);
    }
  }

  void break_off(Path& path) {
    for (UniqueFd& end : path.end) close_with_reset(end);
    path.broken = true;
  }

  void move(Path& path) {
    for (std::size_t i : {0u, 1u}) {
      if (!read_some(path.end[i].get(), path.lane[i]) || !write_some(path.end[1 - i].get(), path.lane[i]))
        return break_off(path);
    }
    if (path.lane[0].end_passed_on && path.lane[1].end_passed_on) path.broken = true;
  }

  bool read_some(int fd, Lane& lane) {
    while (!lane.source_ended && lane.size < kFlight) {
      Bytes piece(kPiece);
      const ssize_t got = ::recv(fd, piece.data(), piece.size(), 0);
      if (got < 0) return errno == EAGAIN || errno == EINTR;
      if (got == 0) {
        lane.source_ended = true;
        return true;
      }
      piece.resize(static_cast<std::size_t>(got));
      lane.size += piece.size();
      lane.pieces.push_back({Clock::now() + delay, std::move(piece), 0});
    }
    return true;
  }

  static bool write_some(int fd, Lane& lane) {
    const TimePoint now = Clock::now();
    while (!lane.pieces.empty() && lane.pieces.front().due <= now) {
      Lane::Piece& piece = lane.pieces.front();
      const ssize_t sent =
          ::send(fd, piece.bytes.data() + piece.sent, piece.bytes.size() - piece.sent, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN || errno == EINTR;
      piece.sent += static_cast<std::size_t>(sent);
      lane.size -= static_cast<std::size_t>(sent);
      if (piece.sent < piece.bytes.size()) return true;
      lane.pieces.pop_front();
    }
    if (lane.source_ended && lane.pieces.empty() && !lane.end_passed_on) {
      ::shutdown(fd, SHUT_WR);
      lane.end_passed_on = true;
    }
    return true;
  }

  const int listener_, wake_;
  const std::uint16_t target_;
  std::list<Path> paths_;
};

FaultProxy::FaultProxy(std::uint16_t target_port)
    : listener_(listen_there(&port_)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::thread([this, target_port] {
    Engine engine(listener_.get(), wake_.get(), target_port);
    while (!stopping_) {
      engine.turn();
      std::lock_guard lock(mutex_);
      for (const auto& each : told_) each(engine);
      told_.clear();
    }
  });
}

FaultProxy::~FaultProxy() {
  stopping_ = true;
  tell([](Engine&) {});
  thread_.join();
}

void FaultProxy::tell(std::function<void(Engine&)> what) {
  {
    std::lock_guard lock(mutex_);
    told_.push_back(std::move(what));
  }
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) std::abort();
}

void FaultProxy::set_delay(Duration delay) {
  tell([delay](Engine& engine) { engine.delay = delay; });
}
void FaultProxy::stall(bool on) {
  tell([on](Engine& engine) { engine.stalled = on; });
}
void FaultProxy::refuse(bool on) {
  tell([on](Engine& engine) { engine.refusing = on; });
}
void FaultProxy::reset_all() {
  tell([](Engine& engine) { engine.reset_all(); });
}
void FaultProxy::half_close() {
  tell([](Engine& engine) { engine.half_close(); });
}

}  // namespace jump::test
