// However a client's bytes are pieced, the handshake takes the same of them and comes to the same end; a
// target is a host and a port; nothing is taken after the end. The first byte chooses the size of the pieces.
#include <algorithm>
#include <cstdlib>

#include "forward/proxy_handshake.h"

namespace {

using jump::ProxyHandshake;

struct Outcome {
  std::size_t taken = 0;
  ProxyHandshake::State state{};
  ProxyHandshake::Protocol protocol{};
  jump::Endpoint target;
  std::string error;
  jump::Bytes output;

  bool operator==(const Outcome&) const = default;
};

void check_target(const ProxyHandshake& handshake) {
  const jump::Endpoint& target = handshake.target();
  if (target.host.empty() || target.host.size() > ProxyHandshake::kMaxHost) std::abort();
  if (target.port == 0 || target.is_unix()) std::abort();
  for (const char c : target.host) {
    if (c <= ' ' || c > '~') std::abort();
  }
  if (handshake.success().empty()) std::abort();
  if (handshake.failure({jump::Errc::kRefused, target.host, {}}).empty()) std::abort();
}

Outcome run(jump::ByteView data, std::size_t piece) {
  ProxyHandshake handshake;
  Outcome outcome;
  while (!data.empty() && handshake.state() == ProxyHandshake::State::kReading) {
    const std::size_t size = std::min(piece, data.size());
    const std::size_t taken = handshake.feed(data.first(size));
    if (taken > size) std::abort();
    if (taken < size && handshake.state() == ProxyHandshake::State::kReading) std::abort();
    outcome.taken += taken;
    data = data.subspan(taken);
    const jump::Bytes said = handshake.take_output();
    outcome.output.insert(outcome.output.end(), said.begin(), said.end());
  }
  outcome.state = handshake.state();
  outcome.protocol = handshake.protocol();
  if (outcome.state == ProxyHandshake::State::kReading) return outcome;
  if (handshake.feed(data) != 0 || !handshake.take_output().empty()) std::abort();
  if (outcome.state == ProxyHandshake::State::kRequested) {
    check_target(handshake);
    outcome.target = handshake.target();
  } else {
    outcome.error = handshake.error().message;
    if (outcome.error.empty()) std::abort();
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{data[0]} + 1;
  const jump::ByteView text(data + 1, size - 1);
  if (!(run(text, piece) == run(text, 1))) std::abort();
  return 0;
}
