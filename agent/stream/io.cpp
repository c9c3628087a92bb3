#include "stream/io.h"

namespace jump {

std::string Endpoint::to_string() const {
  if (is_unix()) return path;
  bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::unique_ptr<ByteStream>> Io::spawn_stream(const StreamCommand& command) {
  return Error{Errc::kUnsupported, command.description + ": no processes can be started here", {}};
}

Result<std::unique_ptr<ByteStream>> Io::adopt_descriptor(Fd, DescriptorUse, std::string description) {
  return Error{Errc::kUnsupported, description + ": no descriptors can be passed here", {}};
}

}  // namespace jump
