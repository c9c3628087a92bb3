#include "loop/listener.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/log.h"
#include "loop/handle_block.h"
#include "loop/passing_socket.h"
#include "loop/socket_address.h"
#include "loop/stream_socket.h"
#include "loop/tcp_listen_sockets.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// The first descriptor of the reserve: what clients of forwards may not use up, so that control clients and
// logins find some. A new descriptor is the lowest free number, so its number says how many are in use.
int reserve_begins() {
  constexpr rlim_t kReserve = 64;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT_MAX;
  const rlim_t most = std::min<rlim_t>(limit.rlim_cur, INT_MAX);
  return static_cast<int>(most - std::min(most / 4, kReserve));
}

}  // namespace

struct UvListener::Block : OwnedHandle<uv_poll_t, UvListener> {
  Fd fd;

  // uv_close() of a poll handle forgets the descriptor at once; the port is free again when this returns.
  void end() {
    release();
    fd.reset();
  }
  void on_loop_end() override { end(); }
};

UvListener::UvListener(Loop& loop, Io::Accepted accepted)
    : loop_(loop),
      accepted_(std::make_shared<Io::Accepted>(std::move(accepted))),
      retry_(loop, [this] { try_again(); }) {}

UvListener::~UvListener() {
  for (const std::shared_ptr<Block>& block : blocks_) block->end();
}

Result<std::unique_ptr<Listener>> UvListener::open(Loop& loop, const ListenOptions& options,
                                                   Io::Accepted accepted) {
  std::unique_ptr<UvListener> self(new UvListener(loop, std::move(accepted)));
  std::vector<Fd> sockets;
  if (options.at.is_unix()) {
    // The agent's own socket: nothing else is under way then.
    const auto patience =
        options.own_user_only ? UnixListenSocket::kStartupPatience : UnixListenSocket::kPatience;
    Result<std::unique_ptr<UnixListenSocket>> bound =
        UnixListenSocket::open(options.at.path, options.backlog, patience);
    if (!bound) return bound.error();
    self->unix_ = *std::move(bound);
    sockets.push_back(self->unix_->take_fd());
  } else {
    Result<std::vector<Fd>> bound = listen_tcp(options.at, options.backlog);
    if (!bound) return bound.error();
    sockets = *std::move(bound);
  }
  if (Status status = self->watch_all(options, std::move(sockets)); !status) return status.error();
  return std::unique_ptr<Listener>(std::move(self));
}

Result<std::unique_ptr<Listener>> UvListener::adopt(Loop& loop, const ListenOptions& options,
                                                    std::vector<Fd> sockets, bool owns_name,
                                                    Io::Accepted accepted) {
  std::unique_ptr<UvListener> self(new UvListener(loop, std::move(accepted)));
  if (sockets.empty()) return Error{Errc::kInvalid, "no socket was passed for " + options.at.to_string(), {}};
  for (const Fd& fd : sockets) {
    fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  }
  if (options.at.is_unix()) {
    auto adopted = UnixListenSocket::adopt(options.at.path, std::move(sockets.front()), owns_name);
    if (!adopted) return adopted.error();
    self->unix_ = *std::move(adopted);
    sockets.front() = self->unix_->take_fd();
  } else if (Status good = check_listening_tcp(sockets); !good) {
    return good.error().context("cannot listen on " + options.at.to_string());
  }
  if (Status status = self->watch_all(options, std::move(sockets)); !status) return status.error();
  return std::unique_ptr<Listener>(std::move(self));
}

Status UvListener::watch_all(const ListenOptions& options, std::vector<Fd> sockets) {
  own_user_only_ = options.own_user_only;
  takes_descriptors_ = options.takes_descriptors;
  if (unix_) {
    local_ = options.at;
  } else {
    SocketAddress address = SocketAddress::local_of(sockets.front().get());
    local_ = Endpoint{address.host(), address.port(), {}};
  }
  for (Fd& fd : sockets) {
    Status status = watch(std::move(fd));
    if (!status) return status.error().context("cannot listen on " + options.at.to_string());
  }
  start_polling();
  return {};
}

std::vector<int> UvListener::sockets() const {
  std::vector<int> all;
  for (const std::shared_ptr<Block>& block : blocks_) {
    if (block->open()) all.push_back(block->fd.get());
  }
  return all;
}

Status UvListener::watch(Fd fd) {
  auto block = std::make_shared<Block>();
  int status = uv_poll_init(loop_.raw(), &block->uv, fd.get());
  if (status < 0) return uv_error(status, "poll");
  block->opened(block);
  block->owner = this;
  block->fd = std::move(fd);
  blocks_.push_back(std::move(block));
  return {};
}

void UvListener::start_polling() {
  for (const std::shared_ptr<Block>& block : blocks_) {
    if (!block->open()) continue;
    uv_poll_start(&block->uv, UV_READABLE, [](uv_poll_t* handle, int, int) {
      auto* ready = static_cast<Block*>(Block::of(handle));
      if (ready->owner) ready->owner->accept_ready(*ready);
    });
  }
}

void UvListener::pause(int code) {
  // Once per shortage, not ten times a second.
  if (stats_.pauses == 0 || stats_.accepted != accepted_at_pause_) {
    log::warn("{}: accepting pauses: {}", local_.to_string(), uv_text(-code));
  }
  accepted_at_pause_ = stats_.accepted;
  ++stats_.pauses;
  for (const std::shared_ptr<Block>& block : blocks_) {
    if (block->open()) uv_poll_stop(&block->uv);
  }
  retry_.start(kRetryAfter);
}

void UvListener::try_again() {
  if (!own_user_only_) {
    Fd probe(fcntl(blocks_.front()->fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!probe || probe.get() >= reserve_begins()) return pause(EMFILE);
  }
  start_polling();
}

void UvListener::accept_ready(Block& block) {
  std::shared_ptr<Io::Accepted> accepted = accepted_;
  for (int i = 0; i < kAcceptsPerTurn && block.owner; ++i) {
    Fd fd(accept4(block.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // The connection that was first in line is gone, or was refused by a filter: on to the next.
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM) continue;
      return pause(errno);
    }
    const bool into_reserve = !own_user_only_ && fd.get() >= reserve_begins();
    if (std::unique_ptr<ByteStream> stream = admit(std::move(fd))) (*accepted)(std::move(stream));
    if (into_reserve && block.owner) return pause(EMFILE);
  }
}

std::unique_ptr<ByteStream> UvListener::admit(Fd fd) {
  std::string description;
  if (unix_) {
    ucred peer{};
    socklen_t length = sizeof(peer);
    bool known = getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
    if (own_user_only_ && (!known || (peer.uid != geteuid() && peer.uid != 0))) {
      ++stats_.turned_away;
      log::warn("{}: turned away pid {} of uid {}", local_.path, peer.pid, peer.uid);
      return nullptr;
    }
    description = fmt::format("{} (pid {})", local_.path, peer.pid);
  } else {
    SocketAddress peer = SocketAddress::peer_of(fd.get());
    description = peer.length > 0 ? peer.to_string() : local_.to_string();
  }
  if (takes_descriptors_) {
    auto passing = PassingSocket::adopt(loop_, std::move(fd), {true, own_user_only_}, description);
    if (passing) ++stats_.accepted;
    if (passing) return *std::move(passing);
    log::warn("{}: {}", description, passing.error().message);
    return nullptr;
  }
  auto kind = unix_ ? SocketHandle::Kind::kUnix : SocketHandle::Kind::kTcp;
  Result<std::shared_ptr<SocketHandle>> handle = SocketHandle::adopt(loop_, kind, fd.release());
  if (!handle) {
    log::warn("{}: {}", description, handle.error().message);
    return nullptr;
  }
  ++stats_.accepted;
  auto stream = std::make_unique<StreamSocket>(loop_, *std::move(handle), std::move(description));
  if (own_user_only_) stream->wipe_input();
  return stream;
}

}  // namespace jump
