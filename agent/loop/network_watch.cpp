#include "loop/network_watch.h"

#include <utility>

#include "base/log.h"
#include "loop/handle_block.h"
#include "loop/timer.h"

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#endif

namespace jump {

struct NetworkWatch::Block : OwnedHandle<uv_poll_t, NetworkWatch> {};

#ifdef __linux__

namespace {

Fd open_socket() {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd) return {};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  constexpr __u32 kIpv6Rules = 1U << (RTNLGRP_IPV6_RULE - 1);
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                      RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | kIpv6Rules;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return {};
  return fd;
}

// A container that comes, a neighbour that is forgotten: of the messages, only these are about our paths.
bool is_change(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return true;
    default:
      return false;
  }
}

struct Taken {
  bool changed = false;  // also where something was lost
  bool lost = false;     // more came than the socket holds
};

// Empties the socket.
Taken take_changes(int fd) {
  Taken taken;
  alignas(nlmsghdr) char buffer[8192];
  while (true) {
    const ssize_t count = recv(fd, buffer, sizeof(buffer), 0);
    if (count < 0 && errno == ENOBUFS) {
      taken.changed = taken.lost = true;
      continue;
    }
    if (count <= 0) return taken;
    int left = static_cast<int>(count);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, static_cast<unsigned>(left));
         message = NLMSG_NEXT(message, left)) {
      taken.changed |= is_change(*message);
    }
  }
}

}  // namespace

NetworkWatch::NetworkWatch(Loop& loop, std::function<void()> changed) : changed_(std::move(changed)) {
  settled_ = std::make_unique<UvTimer>(loop, [this] {
    in_burst_ = loss_logged_ = false;
    told_ = Clock::now();
    changed_();
  });
  socket_ = open_socket();
  auto block = std::make_shared<Block>();
  if (!socket_ || uv_poll_init(loop.raw(), &block->uv, socket_.get()) < 0) {
    log::warn("network changes are not watched: rtnetlink cannot be opened");
    return;
  }
  block->opened(block);
  block->owner = this;
  block_ = std::move(block);
  watch();
  uv_unref(reinterpret_cast<uv_handle_t*>(&block_->uv));
}

void NetworkWatch::watch() {
  uv_poll_start(&block_->uv, UV_READABLE, [](uv_poll_t* handle, int status, int) {
    NetworkWatch* self = static_cast<Block*>(Block::of(handle))->owner;
    if (!self) return;
    // More came than the socket holds. libuv takes that for the end, and looks no more.
    if (status < 0) self->watch();
    self->on_readable();
  });
}

void NetworkWatch::on_readable() {
  const Taken taken = take_changes(socket_.get());
  if (taken.lost && !std::exchange(loss_logged_, true))
    log::info("network: more changes at once than can be told");
  if (!taken.changed) return;
  settled_->start(kSettled);
  const TimePoint now = Clock::now();
  if (std::exchange(in_burst_, true) && now - told_ < kToldAgain) return;
  told_ = now;
  changed_();
}

#else

NetworkWatch::NetworkWatch(Loop&, std::function<void()> changed) : changed_(std::move(changed)) {}
void NetworkWatch::on_readable() {}

#endif

NetworkWatch::~NetworkWatch() {
  if (block_) block_->release();
}

}  // namespace jump
