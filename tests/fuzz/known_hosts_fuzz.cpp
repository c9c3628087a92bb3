// known_hosts files are written by others too: any text must be judged without harm, a verdict other than
// "unknown" names a line, and the same lines once more change nothing.
#include <cstdlib>

#include "auth/known_hosts.h"
#include "base/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jump;
  static const HostKey kKey{"ssh-ed25519", WireWriter().string("ssh-ed25519").string(Bytes(32, 0x5a)).take()};
  std::string text(as_text({data, size}));
  KnownHosts once, twice;
  once.add_text("f", text);
  twice.add_text("f", text + "\n");
  twice.add_text("g", text);
  for (std::uint16_t port : {std::uint16_t{22}, std::uint16_t{2222}}) {
    HostKeyVerdict verdict = once.check("prod", port, kKey);
    if (verdict.kind != twice.check("prod", port, kKey).kind) std::abort();
    bool decided = verdict.kind != HostKeyVerdict::Kind::kUnknown;
    if (decided != verdict.line.has_value()) std::abort();
    (void)prefer_known_types("ssh-ed25519,rsa-sha2-512", once.known_types("prod", port));
  }
  return 0;
}
