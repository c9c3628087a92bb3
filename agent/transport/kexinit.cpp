#include "transport/kexinit.h"

#include <fmt/core.h>

#include "base/printable.h"
#include "base/wire.h"

namespace jump {

namespace {

constexpr std::size_t kCookieSize = 16;
constexpr std::size_t kQuoted = 200;  // of a server's list, in an error message

// Announcements of clients in the list of key exchange methods (RFC 8308, OpenSSH's PROTOCOL 1.10). libssh2
// takes them for methods: were a server to list one, it would call that method's null function.
constexpr std::string_view kClientOnly[] = {"ext-info-c", "kex-strict-c-v00@openssh.com"};

struct ServerLists {
  std::string_view kex, host_key, cipher_out, cipher_in, mac_out, mac_in, compression_out, compression_in;
};

bool parse(ByteView payload, ServerLists* out) {
  WireReader reader(payload);
  reader.u8();
  reader.bytes(kCookieSize);
  for (std::string_view* list : {&out->kex, &out->host_key, &out->cipher_out, &out->cipher_in, &out->mac_out,
                                 &out->mac_in, &out->compression_out, &out->compression_in}) {
    *list = reader.text();
  }
  reader.text();  // languages
  reader.text();
  reader.boolean();  // first_kex_packet_follows
  reader.u32();
  return reader.ok();
}

Error none_common(std::string_view kind, std::string_view ours, std::string_view theirs) {
  return Error{Errc::kUnsupported,
               fmt::format("no common {}: the server offers \"{}\", we offer \"{}\"", kind,
                           printable(theirs, kQuoted), ours),
               {}};
}

}  // namespace

Result<Agreement> negotiate(const Algorithms& ours, ByteView payload) {
  ServerLists theirs;
  if (!parse(payload, &theirs)) {
    return Error{Errc::kProtocol, "the server sent a malformed KEXINIT", {}};
  }
  for (std::string_view name : kClientOnly) {
    if (contains_name(theirs.kex, name)) {
      return Error{
          Errc::kProtocol, fmt::format("the server sent a malformed KEXINIT: it lists \"{}\"", name), {}};
    }
  }
  if (agree(ours.kex, theirs.kex).empty()) return none_common("key exchange method", ours.kex, theirs.kex);
  if (agree(ours.host_key, theirs.host_key).empty()) {
    return none_common("host key algorithm", ours.host_key, theirs.host_key);
  }
  const std::string_view cipher = agree(ours.cipher, theirs.cipher_out);
  if (cipher.empty()) return none_common("cipher", ours.cipher, theirs.cipher_out);
  if (agree(ours.cipher, theirs.cipher_in) != cipher) {
    return none_common("cipher for both directions", ours.cipher, theirs.cipher_in);
  }
  Agreement agreement{std::string(cipher), {}, {}};
  if (!authenticates(cipher)) {
    agreement.mac_out = agree(ours.mac, theirs.mac_out);
    agreement.mac_in = agree(ours.mac, theirs.mac_in);
    if (agreement.mac_out.empty()) return none_common("MAC", ours.mac, theirs.mac_out);
    if (agreement.mac_in.empty()) return none_common("MAC", ours.mac, theirs.mac_in);
  }
  for (std::string_view list : {theirs.compression_out, theirs.compression_in}) {
    if (!contains_name(list, "none")) return none_common("compression", "none", list);
  }
  return agreement;
}

}  // namespace jump
