#include "bench/far_end.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "bench/stream_pattern.h"
#include "support/eventually.h"
#include "support/setup_error.h"
#include "support/socket.h"
#include "support/unique_fd.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::UniqueFd;

constexpr int kBacklog = 16384;  // the kernel cuts it to what it allows
constexpr int kEventsPerTurn = 256;
constexpr int kPiecesPerTurn = 4;
constexpr Duration kQuietDeadline = seconds(60);

enum class Service { kSource, kSink, kEcho, kCensus };
constexpr Service kServices[] = {Service::kSource, Service::kSink, Service::kEcho, Service::kCensus};

struct Listening {
  Service service;
  UniqueFd fd;
};

struct Peer {
  Service service;
  UniqueFd fd;
  bool begun = false;
  bool ended = false;        // its direction
  std::uint64_t offset = 0;  // of the source or the sink
  std::uint64_t wrong = 0;
  Bytes unsent = {};  // of the echo
  std::uint32_t watched = EPOLLIN;
};

class Services {
 public:
  Services() {
    for (Service service : kServices) listen_for(service);
    std::printf("\n");
    std::fflush(stdout);
  }

  void run() {
    epoll_event events[kEventsPerTurn];
    for (;;) {
      const int count = ::epoll_wait(epoll_.get(), events, kEventsPerTurn, -1);
      for (int i = 0; i < count; ++i) {
        const auto fd = static_cast<std::size_t>(events[i].data.fd);
        if (fd < peers_.size() && peers_[fd]) {
          serve(*peers_[fd]);
        } else {
          accept_all(events[i].data.fd);
        }
      }
    }
  }

 private:
  void listen_for(Service service) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(fd.get(), kBacklog) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      setup_error("the far end cannot listen");
    }
    std::printf("%d ", ntohs(address.sin_port));
    watch(fd.get(), EPOLL_CTL_ADD, EPOLLIN);
    listening_.push_back({service, std::move(fd)});
  }

  void watch(int fd, int operation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    ::epoll_ctl(epoll_.get(), operation, fd, &event);
  }

  void accept_all(int listener) {
    for (const Listening& listening : listening_) {
      if (listening.fd.get() != listener) continue;
      for (;;) {
        UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        add(listening.service, std::move(fd));
      }
    }
  }

  void add(Service service, UniqueFd fd) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (service == Service::kCensus) {
      if (::send(fd.get(), &open_, sizeof open_, MSG_NOSIGNAL) < 0) return;
      return;
    }
    ++open_;
    const auto index = static_cast<std::size_t>(fd.get());
    if (index >= peers_.size()) peers_.resize(index + 1);
    watch(fd.get(), EPOLL_CTL_ADD, EPOLLIN);
    peers_[index] = std::make_unique<Peer>(Peer{service, std::move(fd)});
  }

  void remove(Peer& peer) {
    --open_;
    peers_[static_cast<std::size_t>(peer.fd.get())].reset();
  }

  void want(Peer& peer, std::uint32_t events) {
    if (peer.watched != events) watch(peer.fd.get(), EPOLL_CTL_MOD, events);
    peer.watched = events;
  }

  void serve(Peer& peer) {
    switch (peer.service) {
      case Service::kSource:
        return serve_source(peer);
      case Service::kSink:
        return serve_sink(peer);
      default:
        return serve_echo(peer);
    }
  }

  // > 0: bytes in buffer_; 0: the end; < 0: nothing for now, or (broken) an error.
  ssize_t receive(Peer& peer, bool* broken) {
    const ssize_t count = ::recv(peer.fd.get(), buffer_.data(), buffer_.size(), 0);
    *broken = count < 0 && errno != EAGAIN && errno != EINTR;
    return count;
  }

  void serve_source(Peer& peer) {
    bool broken = false;
    if (const ssize_t got = receive(peer, &broken); got >= 0) {
      if (got == 0) return remove(peer);
      peer.begun = true;
    }
    if (broken) return remove(peer);
    for (int i = 0; peer.begun && i < kPiecesPerTurn; ++i) {
      const ssize_t sent = ::send(peer.fd.get(), pattern_.at(peer.offset), StreamPattern::kRun, MSG_NOSIGNAL);
      if (sent < 0) break;  // full; or broken, which the next recv() says
      peer.offset += static_cast<std::uint64_t>(sent);
    }
    want(peer, EPOLLIN | (peer.begun ? EPOLLOUT : 0U));
  }

  void serve_sink(Peer& peer) {
    for (int i = 0; i < kPiecesPerTurn; ++i) {
      bool broken = false;
      const ssize_t got = receive(peer, &broken);
      if (broken) return remove(peer);
      if (got < 0) return;
      if (got == 0) {
        const SinkVerdict verdict{peer.offset, peer.wrong};
        if (::send(peer.fd.get(), &verdict, sizeof verdict, MSG_NOSIGNAL) < 0) return remove(peer);
        return remove(peer);
      }
      const auto size = static_cast<std::size_t>(got);
      if (!peer.wrong && !pattern_.matches(peer.offset, {buffer_.data(), size})) peer.wrong = 1 + peer.offset;
      peer.offset += size;
    }
  }

  void serve_echo(Peer& peer) {
    bool broken = false;
    if (peer.unsent.empty() && !peer.ended) {
      const ssize_t got = receive(peer, &broken);
      if (broken) return remove(peer);
      if (got == 0) peer.ended = true;
      if (got > 0) peer.unsent.assign(buffer_.data(), buffer_.data() + got);
    }
    if (!peer.unsent.empty()) {
      const ssize_t sent = ::send(peer.fd.get(), peer.unsent.data(), peer.unsent.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return remove(peer);
      if (sent > 0) peer.unsent.erase(peer.unsent.begin(), peer.unsent.begin() + sent);
    }
    if (peer.unsent.empty()) {
      Bytes().swap(peer.unsent);  // ten thousand idle ones keep nothing
      if (peer.ended) return remove(peer);
    }
    want(peer, peer.unsent.empty() ? EPOLLIN : EPOLLOUT);
  }

  UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  StreamPattern pattern_;
  Bytes buffer_ = Bytes(StreamPattern::kRun);
  std::vector<Listening> listening_;
  std::vector<std::unique_ptr<Peer>> peers_;  // by descriptor
  std::uint64_t open_ = 0;
};

}  // namespace

int FarEnd::run() {
  Services().run();
  return 0;
}

FarEnd::FarEnd() {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  process_ = std::make_unique<test::Process>(std::vector<std::string>{self, kArgument});
  if (!test::eventually([this] { return process_->out().find('\n') != std::string::npos; })) {
    setup_error("the far end did not start: " + process_->err());
  }
  std::istringstream ports(process_->out());
  for (std::uint16_t& port : ports_) ports >> port;
}

std::uint64_t FarEnd::open_connections() const {
  auto socket = test::Socket::connect_tcp(ports_[3]);
  std::uint64_t count = 0;
  const test::Received answer = socket ? socket->receive_exactly(sizeof count) : test::Received{};
  if (answer.bytes.size() != sizeof count) setup_error("the far end does not answer");
  std::memcpy(&count, answer.bytes.data(), sizeof count);
  return count;
}

void FarEnd::wait_until_quiet() const {
  if (!test::eventually([this] { return open_connections() == 0; }, kQuietDeadline)) {
    setup_error("connections of the last measurement stay open at the far end");
  }
}

}  // namespace jump::bench
