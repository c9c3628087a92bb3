// An agent may answer anything. However its bytes are cut, the same messages come out, each within the bound,
// and decoding them never runs past their end.
#include <cstdlib>

#include "auth/agent_protocol.h"

namespace {

std::vector<jump::Bytes> messages_of(jump::ByteView stream, std::size_t piece) {
  jump::AgentFramer framer;
  std::vector<jump::Bytes> messages;
  while (!stream.empty()) {
    std::size_t count = std::min(piece, stream.size());
    bool fed = framer.feed(stream.first(count)).ok();
    stream = stream.subspan(count);
    while (auto message = framer.next()) messages.push_back(std::move(*message));
    if (!fed) break;
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jump;
  ByteView stream(data, size);
  std::vector<Bytes> messages = messages_of(stream, 7);
  if (messages != messages_of(stream, size)) std::abort();
  for (const Bytes& message : messages) {
    if (message.empty() || message.size() > AgentFramer::kMaxMessage) std::abort();
    (void)decode_identities(message);
    (void)decode_signature(message, "rsa-sha2-512");
  }
  return 0;
}
