#include "channel/channel_open.h"

#include <fmt/core.h>

#include "base/wire.h"

namespace jump {

ChannelOpen ChannelOpen::direct_tcpip(std::string_view host, std::uint16_t port, std::string_view origin_host,
                                      std::uint16_t origin_port) {
  WireWriter specific;
  specific.string(host).u32(port).string(origin_host).u32(origin_port);
  std::string name(host);
  if (host.find(':') != std::string_view::npos) name = fmt::format("[{}]", host);
  return {"direct-tcpip", specific.take(), fmt::format("{}:{}", name, port)};
}

ChannelOpen ChannelOpen::session() { return {"session", {}, "session"}; }

ChannelOpen ChannelOpen::direct_streamlocal(std::string_view path) {
  WireWriter specific;
  specific.string(path).string(std::string_view()).u32(0);  // two reserved fields
  return {"direct-streamlocal@openssh.com", specific.take(), std::string(path)};
}

}  // namespace jump
