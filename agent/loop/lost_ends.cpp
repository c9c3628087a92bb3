#include "loop/lost_ends.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "loop/tcp_state.h"

namespace jump {
namespace {

bool same(const SocketAddress& a, const SocketAddress& b) {
  return a.family() == b.family() && a.port() == b.port() && a.host() == b.host();
}

}  // namespace

void LostEnds::keep(int fd) {
  if (!tcp_owes(fd)) return;
  Fd ours(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  const SocketAddress peer = SocketAddress::peer_of(fd);
  if (!ours || peer.length == 0) return;
  (void)::shutdown(ours.get(), SHUT_WR);
  if (ends_.size() == kMostKept) ends_.pop_front();
  ends_.push_back({std::move(ours), peer, Clock::now() + kMost});
  timer_.start(kLook);
}

void LostEnds::reached(const SocketAddress& peer) {
  std::erase_if(ends_, [&peer](const End& each) {
    if (!same(each.peer, peer)) return false;
    log::debug("{}: a connection that was lost is reset", peer.to_string());
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(each.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return true;
  });
}

void LostEnds::look() {
  const TimePoint now = Clock::now();
  std::erase_if(ends_, [now](const End& each) { return each.until <= now || !tcp_owes(each.fd.get()); });
  if (!ends_.empty()) timer_.start(kLook);
}

}  // namespace jump
