#include "loop/dial_source.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <memory>

#include "loop/uv_error.h"

namespace jump {
namespace {

// Addresses that lead nowhere but to this machine or this cable, used when the interface has no others.
bool is_narrow(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
}

}  // namespace

Result<DialSource> DialSource::find(const std::string& address, const std::string& interface) {
  DialSource source;
  if (!address.empty()) {
    std::optional<SocketAddress> literal = SocketAddress::parse(address, 0);
    if (!literal) {
      return Error{Errc::kInvalid, "BindAddress '" + address + "' is not a literal address", {}};
    }
    source.chosen_ = true;
    (literal->family() == AF_INET6 ? source.v6_ : source.v4_) = *literal;
    return source;
  }
  if (interface.empty()) return source;

  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return errno_error("cannot read the addresses of " + interface);
  std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  source.chosen_ = true;
  for (const ifaddrs* each = list; each; each = each->ifa_next) {
    if (interface != each->ifa_name || !each->ifa_addr || !(each->ifa_flags & IFF_UP)) continue;
    int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    SocketAddress found =
        SocketAddress::from(each->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    std::optional<SocketAddress>& place = family == AF_INET ? source.v4_ : source.v6_;
    if (!place || (is_narrow(*place) && !is_narrow(found))) place = found;
  }
  if (!source.v4_ && !source.v6_) {
    return Error{Errc::kUnreachable, "BindInterface '" + interface + "' has no address now", {}};
  }
  return source;
}

DialSource DialSource::of(const std::vector<SocketAddress>& addresses) {
  DialSource source;
  source.chosen_ = true;
  for (const SocketAddress& each : addresses) {
    std::optional<SocketAddress>& place = each.family() == AF_INET6 ? source.v6_ : source.v4_;
    if (!place) place = each;
  }
  return source;
}

const SocketAddress* DialSource::of(int family) const {
  const std::optional<SocketAddress>& place = family == AF_INET6 ? v6_ : v4_;
  return place ? &*place : nullptr;
}

}  // namespace jump
