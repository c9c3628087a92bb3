#include "channel/peer_open.h"

#include <fmt/core.h>

#include <limits>

#include "base/printable.h"
#include "base/wire.h"
#include "stream/io.h"

namespace jump {
namespace {

constexpr std::uint32_t kMaxPort = std::numeric_limits<std::uint16_t>::max();
constexpr std::size_t kMaxShown = 128;  // of a name or path, in a message

std::string host_and_port(const std::string& host, std::uint16_t port) {
  return Endpoint{host.empty() ? "*" : printable(host, kMaxShown), port, {}}.to_string();
}

std::optional<ForwardedTcpip> parse_tcpip(WireReader& in) {
  ForwardedTcpip out;
  out.address = in.text();
  const std::uint32_t port = in.u32();
  out.origin_address = in.text();
  const std::uint32_t origin_port = in.u32();
  if (!in.ok() || port == 0 || port > kMaxPort) return std::nullopt;
  out.port = static_cast<std::uint16_t>(port);
  if (origin_port <= kMaxPort) out.origin_port = static_cast<std::uint16_t>(origin_port);
  return out;
}

}  // namespace

std::optional<PeerOpen> PeerOpen::parse(std::string_view type, ByteView specific) {
  PeerOpen out{std::string(type), {}};
  WireReader in(specific);
  if (type == ForwardedTcpip::kType) {
    std::optional<ForwardedTcpip> tcpip = parse_tcpip(in);
    if (!tcpip) return std::nullopt;
    out.specific = *std::move(tcpip);
  } else if (type == ForwardedStreamlocal::kType) {
    ForwardedStreamlocal streamlocal{std::string(in.text())};
    in.string();  // reserved
    if (!in.ok()) return std::nullopt;
    out.specific = std::move(streamlocal);
  } else {
    out.specific = to_bytes(specific);
  }
  return out;
}

Bytes PeerOpen::encode() const {
  WireWriter out;
  if (const auto* tcpip = std::get_if<ForwardedTcpip>(&specific)) {
    out.string(tcpip->address).u32(tcpip->port).string(tcpip->origin_address).u32(tcpip->origin_port);
  } else if (const auto* streamlocal = std::get_if<ForwardedStreamlocal>(&specific)) {
    out.string(streamlocal->path).string(std::string_view());
  } else {
    out.raw(std::get<Bytes>(specific));
  }
  return out.take();
}

std::string PeerOpen::describe() const {
  if (const auto* tcpip = std::get_if<ForwardedTcpip>(&specific)) {
    return fmt::format("{} from {}", host_and_port(tcpip->address, tcpip->port),
                       host_and_port(tcpip->origin_address, tcpip->origin_port));
  }
  if (const auto* streamlocal = std::get_if<ForwardedStreamlocal>(&specific)) {
    return printable(streamlocal->path, kMaxShown);
  }
  return printable(type, kMaxShown);
}

}  // namespace jump
