// What servers and files say about host keys. First byte: which parser.
//   0  a file of revoked keys: judged without harm
//   1  a server's list of its keys, and its proofs of them: no key is learned, as no proof can be right
//   2  a known_hosts file that is edited: the same edit once more changes nothing, and its keys are there
#include <algorithm>
#include <cstdlib>

#include "auth/host_key_record.h"
#include "auth/host_key_revocation.h"
#include "auth/host_key_update.h"
#include "base/wire.h"

namespace {

using namespace jump;

const HostKey& key() {
  static const HostKey made{"ssh-ed25519", WireWriter().string("ssh-ed25519").string(Bytes(32, 0x5a)).take()};
  return made;
}

void update(ByteView data) {
  WireReader in(data);
  ByteView list = in.string();
  ByteView proofs = in.rest();
  KnownHosts known;
  known.add_text("f", "prod ssh-ed25519 AAAA\n");
  auto update = HostKeyUpdate::plan(list, "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512", "prod", known);
  if (!update) return;
  (void)update->verify_proofs(proofs, as_bytes("a session"));
  if (!update->learned().empty()) std::abort();
}

void edit(std::string text) {
  std::string once = with_host_keys(text, "prod", {key()}, false);
  if (with_host_keys(once, "prod", {key()}, false) != once) std::abort();
  KnownHosts known;
  known.add_text("f", once);
  auto entries = known.all_entries("prod");
  bool there = std::any_of(entries.begin(), entries.end(), [](const KnownHostsEntry& entry) {
    return entry.matches && !entry.marked && entry.key.blob == key().blob;
  });
  if (!there) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  ByteView rest(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      if (auto keys = RevokedKeys::parse(rest)) (void)keys->contains(key().blob);
      break;
    case 1:
      update(rest);
      break;
    default:
      edit(std::string(as_text(rest)));
  }
  return 0;
}
