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

// False also before Linux 5.4, which tells less.
bool look(int fd, tcp_info* tcp) {
  *tcp = {};
  socklen_t length = sizeof(*tcp);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, tcp, &length) == 0 &&
         length >= offsetof(tcp_info, tcpi_snd_wnd) + sizeof(tcp->tcpi_snd_wnd);
}

}  // namespace

std::optional<Delivery> tcp_delivery(int fd) {
  tcp_info tcp;
  if (!look(fd, &tcp)) return std::nullopt;
  Delivery delivery;
  delivery.acknowledged = tcp.tcpi_delivered;
  delivery.sent = tcp.tcpi_delivered + tcp.tcpi_unacked - tcp.tcpi_sacked;
  delivery.owed = tcp.tcpi_unacked > 0 || tcp.tcpi_notsent_bytes > 0;
  // Tries at a closed window are answered, but for one that may be under way.
  delivery.stalled = tcp.tcpi_snd_wnd == 0 && tcp.tcpi_probes <= 1;
  delivery.round_trip = std::chrono::microseconds(tcp.tcpi_rtt);
  return delivery;
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
