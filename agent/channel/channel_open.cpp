#include "channel/channel_open.h"

#include "base/wire.h"

namespace jump {

ChannelOpen ChannelOpen::direct_tcpip(std::string_view host, std::uint16_t port, std::string_view origin_host,
                                      std::uint16_t origin_port) {
  WireWriter specific;
  specific.string(host).u32(port).string(origin_host).u32(origin_port);
  bool v6 = host.find(':') != std::string_view::npos;
  std::string name = v6 ? "[" + std::string(host) + "]" : std::string(host);
  return {"direct-tcpip", specific.take(), name + ":" + std::to_string(port)};
}

ChannelOpen ChannelOpen::direct_streamlocal(std::string_view path) {
  WireWriter specific;
  specific.string(path).string(std::string_view()).u32(0);  // two reserved fields
  return {"direct-streamlocal@openssh.com", specific.take(), std::string(path)};
}

}  // namespace jump
