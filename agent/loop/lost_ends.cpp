#include "loop/lost_ends.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>

namespace jump {
namespace {

bool same(const SocketAddress& a, const SocketAddress& b) {
  return a.family() == b.family() && a.port() == b.port() && a.host() == b.host();
}

}  // namespace

void LostEnds::keep(int fd) {
  Fd ours(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  SocketAddress peer = SocketAddress::peer_of(fd);
  if (!ours || peer.length == 0) return;
  (void)::shutdown(ours.get(), SHUT_WR);
  if (ends_.size() == kMostKept) ends_.pop_front();
  ends_.push_back({std::move(ours), peer, Clock::now() + kMost});
  let_go();
}

void LostEnds::reached(const SocketAddress& peer) {
  std::erase_if(ends_, [&peer](const End& each) {
    if (!same(each.peer, peer)) return false;
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(each.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return true;
  });
  let_go();
}

void LostEnds::let_go() {
  const TimePoint now = Clock::now();
  while (!ends_.empty() && ends_.front().until <= now) ends_.pop_front();
  if (ends_.empty()) return timer_.stop();
  timer_.start(ends_.front().until - now);
}

}  // namespace jump
