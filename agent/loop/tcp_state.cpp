#include "loop/tcp_state.h"

#ifdef __linux__

#include <fmt/core.h>
#include <linux/sockios.h>
#include <linux/tcp.h>  // the C library's own has less of tcp_info
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>

namespace jump {
namespace {

// What happens between two looks, acknowledgements above all, would make them disagree.
constexpr int kLooks = 4;

bool look(int fd, tcp_info* tcp) {
  *tcp = {};
  socklen_t length = sizeof(*tcp);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, tcp, &length) != 0) return false;
  // Linux before 5.4 does not tell of the window: what is only not sent may wait for it.
  const bool window_known = length >= offsetof(tcp_info, tcpi_snd_wnd) + sizeof(tcp->tcpi_snd_wnd);
  if (!window_known) tcp->tcpi_snd_wnd = tcp->tcpi_unacked == 0 && tcp->tcpi_notsent_bytes > 0 ? 0 : 1;
  return true;
}

}  // namespace

std::optional<Delivery> tcp_delivery(int fd) {
  for (int i = 0; i < kLooks; ++i) {
    tcp_info before, after;
    int queued = 0;  // not acknowledged, sent or not
    if (!look(fd, &before) || ioctl(fd, SIOCOUTQ, &queued) != 0 || !look(fd, &after)) return std::nullopt;
    const bool still = before.tcpi_bytes_acked == after.tcpi_bytes_acked &&
                       before.tcpi_notsent_bytes == after.tcpi_notsent_bytes;
    if (!still && i + 1 < kLooks) continue;
    const auto kept = static_cast<std::uint64_t>(std::max(queued, 0));
    Delivery delivery;
    delivery.acknowledged = after.tcpi_bytes_acked;
    delivery.sent = after.tcpi_bytes_acked + kept - std::min<std::uint64_t>(after.tcpi_notsent_bytes, kept);
    delivery.owed = kept > 0;
    // Tries at a closed window are answered, but for one that may be under way.
    delivery.stalled = after.tcpi_snd_wnd == 0 && after.tcpi_probes <= 1;
    delivery.round_trip = std::chrono::microseconds(after.tcpi_rtt);
    return delivery;
  }
  return std::nullopt;
}

bool tcp_owes(int fd) {
  constexpr unsigned kClosed = 7;  // TCP_CLOSE
  tcp_info tcp;
  int queued = 0;
  return look(fd, &tcp) && tcp.tcpi_state != kClosed && ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0;
}

std::string tcp_condition(int fd) {
  tcp_info tcp;
  if (!look(fd, &tcp)) return {};
  int unread = 0, queued = 0;
  if (ioctl(fd, SIOCINQ, &unread) != 0) unread = 0;
  if (ioctl(fd, SIOCOUTQ, &queued) != 0) queued = 0;
  return fmt::format(
      "TCP: heard {:.1f} s ago, {} bytes unread; {} bytes to send, {} packets of them unacknowledged, "
      "sent {} times again, {} tries at a window of none",
      tcp.tcpi_last_ack_recv / 1000.0, unread, queued, tcp.tcpi_unacked, tcp.tcpi_retransmits,
      tcp.tcpi_probes);
}

}  // namespace jump

#else

namespace jump {

std::optional<Delivery> tcp_delivery(int) { return std::nullopt; }
bool tcp_owes(int) { return false; }
std::string tcp_condition(int) { return {}; }

}  // namespace jump

#endif
