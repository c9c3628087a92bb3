#include "support/delay_proxy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <list>
#include <optional>
#include <vector>

#include "support/setup_error.h"

namespace jump::test {

namespace {

constexpr std::size_t kSlabSize = 1 << 20;
constexpr std::size_t kPiece = 128 * 1024;  // most that is read at once
constexpr Duration kRatedPiece =
    std::chrono::microseconds(250);  // the same with a rate: so long at the bottleneck
constexpr std::size_t kLeastPiece = 1448;
constexpr int kRatedSegment = 1448;
constexpr int kRatedReceiveBuffer = 64 * 1024;
constexpr int kReadsPerTurn = 8;  // then whatever is due is delivered
constexpr int kBacklog = 4096;
constexpr int kEventsPerTurn = 256;

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// Before connect() and listen(): both are settled in the handshake.
void shape(int fd, const DelayProxyOptions& options) {
  if (options.rate == 0) return;
  set_option(fd, IPPROTO_TCP, TCP_MAXSEG, kRatedSegment);
  set_option(fd, SOL_SOCKET, SO_RCVBUF, kRatedReceiveBuffer);
}

// Memory that many reads share, so that a small one costs little.
struct Slab {
  std::unique_ptr<std::uint8_t[]> bytes{new std::uint8_t[kSlabSize]};
  std::size_t used = 0;
};

struct Connection;

// One direction of one connection.
struct Flow {
  Connection* connection = nullptr;
  Flow* reverse = nullptr;
  int from = -1;
  int to = -1;
  int direction = 0;
  bool queued = false;  // waits in the path's ring to be read from
  bool full = false;    // has `flight` bytes on their way: not read from
  bool source_ended = false;
  bool sink_gone = false;  // what comes is dropped
  bool finished = false;   // its end was delivered
  std::size_t on_the_way = 0;
  std::size_t pieces = 0;  // in the path
  struct Arrived {
    std::shared_ptr<Slab> slab;
    const std::uint8_t* data;
    std::size_t size;
  };
  std::deque<Arrived> arrived;  // not yet taken by the receiver
  bool end_arrived = false;
};

struct Connection {
  UniqueFd client;
  UniqueFd target;
  Flow flows[2];
  bool broken = false;
  bool done() const { return broken || (flows[0].finished && flows[1].finished); }
  std::size_t pieces() const { return flows[0].pieces + flows[1].pieces; }
};

enum class PieceKind { kBytes, kEnd, kReset };

struct Piece {
  TimePoint due;
  Flow* flow;
  PieceKind kind;
  std::shared_ptr<Slab> slab;
  const std::uint8_t* data;
  std::size_t size;
};

}  // namespace

// What all flows of one direction share: the bottleneck, the delay, and the turn to be read.
// `free_at` is when the bottleneck will have sent all that it was given: so what is queued is the time until
// then.
class DelayProxy::Path {
 public:
  explicit Path(const DelayProxyOptions& options) : options_(options) {
    if (options.rate == 0) return;
    piece_ = std::clamp(static_cast<std::size_t>(static_cast<double>(options.rate) * to_seconds(kRatedPiece)),
                        kLeastPiece, kPiece);
    const double ahead = static_cast<double>(options.queue) / static_cast<double>(options.rate);
    longest_queue_ = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(ahead));
  }

  std::size_t piece() const { return piece_; }
  TimePoint room_at() const { return free_at_ - longest_queue_; }

  void send(TimePoint now, Piece piece) {
    free_at_ = std::max(free_at_, now) + sending_time(piece.size);
    piece.due = free_at_ + options_.round_trip / 2;
    ++piece.flow->pieces;
    line_.push_back(std::move(piece));
  }

  std::deque<Flow*>& ring() { return ring_; }
  std::deque<Piece>& line() { return line_; }

 private:
  Duration sending_time(std::size_t bytes) const {
    if (options_.rate == 0) return Duration::zero();
    return std::chrono::nanoseconds(bytes * std::nano::den / options_.rate);
  }

  DelayProxyOptions options_;
  std::size_t piece_ = kPiece;
  Duration longest_queue_ = Duration::zero();
  TimePoint free_at_{};
  std::deque<Flow*> ring_;  // flows that may have something to read
  std::deque<Piece> line_;  // in the order of `due`
};

class DelayProxy::Engine {
 public:
  Engine(DelayProxy& proxy, std::uint16_t target_port, const DelayProxyOptions& options)
      : proxy_(proxy), target_port_(target_port), options_(options), paths_{Path(options), Path(options)} {
    watch(proxy_.listener_.get(), EPOLLIN, &proxy_.listener_);
    watch(proxy_.stop_.get(), EPOLLIN, &proxy_.stop_);
  }

  void run() {
    ::prctl(PR_SET_TIMERSLACK, 1);
    while (!stopping_) {
      wait();
      for (Path& path : paths_) {
        deliver(path);
        read_in_turn(path);
        deliver(path);
      }
      remove_done();
    }
  }

 private:
  void watch(int fd, std::uint32_t events, void* what) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = what;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) setup_error("delay proxy: epoll_ctl");
  }

  // Until the next piece is due, there is something to read and room for it, or a socket has news.
  void wait() {
    std::optional<TimePoint> next;
    auto sooner = [&next](TimePoint t) { next = next ? std::min(*next, t) : t; };
    for (Path& path : paths_) {
      if (!path.line().empty()) sooner(path.line().front().due);
      if (!path.ring().empty()) sooner(path.room_at());
    }
    timespec timeout{};
    if (next) {
      const auto left = std::max<Duration>(*next - Clock::now(), Duration::zero());
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
      timeout = {ns / std::nano::den, ns % std::nano::den};
    }
    epoll_event events[kEventsPerTurn];
    const int count =
        ::epoll_pwait2(epoll_.get(), events, kEventsPerTurn, next ? &timeout : nullptr, nullptr);
    for (int i = 0; i < count; ++i) handle(events[i]);
  }

  void handle(const epoll_event& event) {
    if (event.data.ptr == &proxy_.stop_) {
      stopping_ = true;
    } else if (event.data.ptr == &proxy_.listener_) {
      accept_one();
    } else {
      // The flow that reads from this socket; its reverse writes to it.
      Flow& flow = *static_cast<Flow*>(event.data.ptr);
      if (event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) want_turn(flow);
      if (event.events & (EPOLLOUT | EPOLLERR)) flush(*flow.reverse);
    }
  }

  void accept_one() {
    UniqueFd client(::accept4(proxy_.listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    UniqueFd target(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!target) return;
    shape(target.get(), options_);
    const sockaddr_in address = loopback(target_port_);
    if (::connect(target.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS) {
      return;
    }
    ++proxy_.accepted_;
    Connection& connection = connections_.emplace_back();
    for (int fd : {client.get(), target.get()}) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    connection.client = std::move(client);
    connection.target = std::move(target);
    const int fds[2] = {connection.client.get(), connection.target.get()};
    for (int i = 0; i < 2; ++i) {
      Flow& flow = connection.flows[i];
      flow.connection = &connection;
      flow.reverse = &connection.flows[1 - i];
      flow.from = fds[i];
      flow.to = fds[1 - i];
      flow.direction = i;
      watch(flow.from, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &flow);
    }
  }

  Path& path(const Flow& flow) { return paths_[flow.direction]; }

  void want_turn(Flow& flow) {
    if (flow.queued || flow.full || flow.source_ended || flow.connection->done()) return;
    flow.queued = true;
    path(flow).ring().push_back(&flow);
  }

  void read_in_turn(Path& path) {
    for (int i = 0; i < kReadsPerTurn && !path.ring().empty(); ++i) {
      const TimePoint now = Clock::now();
      if (path.room_at() > now) return;
      Flow& flow = *path.ring().front();
      path.ring().pop_front();
      flow.queued = false;
      if (!flow.connection->broken && read_some(flow, path, now)) want_turn(flow);
    }
  }

  // Whether there may be more to read.
  bool read_some(Flow& flow, Path& path, TimePoint now) {
    const std::size_t most = path.piece();
    if (!slab_ || kSlabSize - slab_->used < most) slab_ = fresh_slab();
    std::uint8_t* const place = slab_->bytes.get() + slab_->used;
    const ssize_t count = ::recv(flow.from, place, most, 0);
    // What a path delays is ours to say, and not a delayed acknowledgement of this end's kernel.
    if (count > 0) set_option(flow.from, IPPROTO_TCP, TCP_QUICKACK, 1);
    if (count > 0) {
      const auto size = static_cast<std::size_t>(count);
      slab_->used += size;
      flow.on_the_way += size;
      flow.full = flow.on_the_way >= options_.flight;
      path.send(now, {{}, &flow, PieceKind::kBytes, slab_, place, size});
      return !flow.full;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
    end_source(flow, count == 0 ? PieceKind::kEnd : PieceKind::kReset);
    return false;
  }

  // The slab after the current one: one that nobody uses any more, where there is one.
  std::shared_ptr<Slab> fresh_slab() {
    if (slab_) slabs_.push_back(std::move(slab_));
    if (!slabs_.empty() && slabs_.front().use_count() == 1) {
      std::shared_ptr<Slab> slab = std::move(slabs_.front());
      slabs_.pop_front();
      slab->used = 0;
      return slab;
    }
    return std::make_shared<Slab>();
  }

  void end_source(Flow& flow, PieceKind how) {
    if (flow.source_ended) return;
    flow.source_ended = true;
    path(flow).send(Clock::now(), {{}, &flow, how, nullptr, nullptr, 0});
  }

  void deliver(Path& path) {
    const TimePoint now = Clock::now();
    while (!path.line().empty() && path.line().front().due <= now) {
      Piece piece = std::move(path.line().front());
      path.line().pop_front();
      arrive(std::move(piece));
    }
  }

  void arrive(Piece piece) {
    Flow& flow = *piece.flow;
    --flow.pieces;
    if (flow.connection->broken) return;
    if (piece.kind == PieceKind::kReset) return break_connection(*flow.connection);
    if (piece.kind == PieceKind::kEnd) flow.end_arrived = true;
    if (piece.kind == PieceKind::kBytes)
      flow.arrived.push_back({std::move(piece.slab), piece.data, piece.size});
    flush(flow);
  }

  void flush(Flow& flow) {
    if (flow.connection->broken || flow.finished) return;
    while (!flow.arrived.empty()) {
      Flow::Arrived& next = flow.arrived.front();
      const ssize_t sent = flow.sink_gone ? static_cast<ssize_t>(next.size)
                                          : ::send(flow.to, next.data, next.size, MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return;
      if (sent < 0) {
        flow.sink_gone = true;
        end_source(*flow.reverse, PieceKind::kReset);
        continue;
      }
      taken(flow, static_cast<std::size_t>(sent));
    }
    if (!flow.end_arrived) return;
    flow.finished = true;
    if (flow.connection->done()) ++done_;
    ::shutdown(flow.to, SHUT_WR);
  }

  void taken(Flow& flow, std::size_t size) {
    Flow::Arrived& first = flow.arrived.front();
    first.data += size;
    first.size -= size;
    if (first.size == 0) flow.arrived.pop_front();
    if (!flow.sink_gone) proxy_.carried_[flow.direction] += size;
    flow.on_the_way -= size;
    if (flow.full && flow.on_the_way < options_.flight) {
      flow.full = false;
      want_turn(flow);
    }
  }

  // Both ends see a reset.
  void break_connection(Connection& connection) {
    if (!connection.done()) ++done_;
    connection.broken = true;
    const linger now{1, 0};
    for (UniqueFd* fd : {&connection.client, &connection.target}) {
      ::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
      unwatch(*fd);
      fd->reset();
    }
    for (Flow& flow : connection.flows) flow.arrived.clear();
  }

  // Once nothing in the paths refers to them.
  void remove_done() {
    if (done_ == 0) return;
    for (auto each = connections_.begin(); each != connections_.end();) {
      Connection& c = *each++;
      if (!c.done() || c.pieces() > 0 || c.flows[0].queued || c.flows[1].queued) continue;
      for (UniqueFd* fd : {&c.client, &c.target}) unwatch(*fd);
      connections_.erase(std::prev(each));
      --done_;
    }
  }

  // A child that has not become its program yet holds the socket, and so its place here, beyond our close.
  void unwatch(const UniqueFd& fd) {
    if (fd) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  }

  DelayProxy& proxy_;
  std::uint16_t target_port_;
  DelayProxyOptions options_;
  Path paths_[2];
  UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::list<Connection> connections_;
  std::size_t done_ = 0;                     // of them
  std::shared_ptr<Slab> slab_;               // being filled
  std::deque<std::shared_ptr<Slab>> slabs_;  // filled, the oldest first: used again when all of it was taken
  bool stopping_ = false;
};

DelayProxy::DelayProxy(std::uint16_t target_port, DelayProxyOptions options)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  shape(listener_.get(), options);
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(listener_.get(), kBacklog) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    setup_error("delay proxy: cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, target_port, options] { Engine(*this, target_port, options).run(); });
}

DelayProxy::~DelayProxy() {
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) < 0) std::abort();
  thread_.join();
}

}  // namespace jump::test
