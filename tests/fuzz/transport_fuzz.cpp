// Fuzzes Transport with a hostile server's bytes. The first input byte says how the rest is meant:
//   even: raw bytes, from the very beginning of the connection
//   odd:  a good version line, then the rest as packets (length byte, then payload), well framed and not
//   encrypted
// Its upper seven bits are the size of the pieces in which the bytes arrive; the input's end is the
// connection's. Invariant: no input may crash, leak, block, or get past the key exchange (nothing here can
// sign).
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/wire.h"
#include "integration/leak_check.h"
#include "transport/transport.h"

namespace jump {
namespace {

class NoPackets : public PacketHandler {
 public:
  void on_packet(ByteView) override { std::abort(); }
};

// Each packet's payload is a length byte (times four, so that KEXINITs fit) and that many bytes.
Bytes framed(ByteView data) {
  WireWriter out;
  out.raw(as_bytes("SSH-2.0-fuzz\r\n"));
  while (!data.empty()) {
    const std::size_t wanted = std::size_t{data[0]} * 4 + 1;
    data = data.subspan(1);
    const ByteView payload = data.first(std::min(wanted, data.size()));
    data = data.subspan(payload.size());
    const std::size_t padding = 4 + (8 - (5 + payload.size() + 4) % 8) % 8;
    out.u32(static_cast<std::uint32_t>(1 + payload.size() + padding));
    out.u8(static_cast<std::uint8_t>(padding)).raw(payload).raw(Bytes(padding));
  }
  return out.take();
}

void run(ByteView input) {
  if (input.empty()) return;
  const std::uint8_t mode = input[0];
  Bytes wire = mode % 2 == 0 ? to_bytes(input.subspan(1)) : framed(input.subspan(1));
  const std::size_t piece = mode < 2 ? wire.size() + 1 : std::size_t{mode} / 2;

  NoPackets handler;
  // Where all exchanges may happen, leaks cannot be looked for (see leak_check.h): so every other piece size
  // each.
  std::optional<LeaksOfEcdh> leaks;
  TransportOptions options;
  if (mode / 2 % 2 == 1) {
    leaks.emplace();
  } else {
    options.kex =
        "curve25519-sha256,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
        "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";
  }
  auto made = Transport::create(options, &handler);
  if (!made.ok()) std::abort();
  Transport& transport = **made;
  transport.advance();
  for (std::size_t at = 0; at < wire.size(); at += std::min(piece, wire.size() - at)) {
    transport.feed(ByteView(wire).subspan(at, std::min(piece, wire.size() - at)));
    transport.advance();
    transport.output().clear();
  }
  if (transport.state() != Transport::State::kExchange && transport.state() != Transport::State::kFailed)
    std::abort();
  transport.feed_eof();
  if (transport.advance() != Transport::State::kFailed || transport.error().message.empty()) std::abort();
}

}  // namespace
}  // namespace jump

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  jump::run({data, size});
  return 0;
}
