#include "transport/seam.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/wire.h"
#include "transport/cipher_aes_gcm.h"
#include "transport/cipher_chacha20poly1305.h"
#include "transport/libssh2_internals.h"

namespace jump::seam {

namespace {

constexpr int kMacInvalid = -1;          // LIBSSH2_MAC_INVALID
constexpr long kRequiresFullPacket = 4;  // LIBSSH2_CRYPT_FLAG_REQUIRES_FULL_PACKET
constexpr int kStateExchanging = 2;      // LIBSSH2_STATE_EXCHANGING_KEYS
constexpr int kStateNewKeys = 4;         // LIBSSH2_STATE_NEWKEYS
constexpr int kCryptFailed = 1;
constexpr std::size_t kMinPadding = 4;  // RFC 4253 section 6
constexpr std::size_t kMaxPadding = 4 + 16;
constexpr std::size_t kMaxMethods = 32;  // libssh2 has 16 at most

Owner* owner_of(LIBSSH2_SESSION* session) { return static_cast<Owner*>(*libssh2_session_abstract(session)); }

// --- ciphers: libssh2's calling convention around PacketCipher ---------------------------------------------

// What a session's crypt_abstract points to while one of our ciphers is in use.
struct KeyedCipher {
  std::unique_ptr<PacketCipher> cipher;
  std::size_t block;
  bool seals;
  bool opened = false;  // the packet that libssh2 reads next was opened already
};

KeyedCipher* keyed(void** abstract) { return static_cast<KeyedCipher*>(*abstract); }

int install(std::unique_ptr<PacketCipher> cipher, std::size_t block, int encrypt, int* free_iv,
            int* free_secret, void** abstract) {
  *abstract = nullptr;
  if (!cipher) return LIBSSH2_ERROR_KEX_FAILURE;
  *abstract = new KeyedCipher{std::move(cipher), block, encrypt != 0};
  *free_iv = 1;
  *free_secret = 1;
  return 0;
}

int init_aes_gcm(LIBSSH2_SESSION*, const LIBSSH2_CRYPT_METHOD* method, unsigned char* iv, int* free_iv,
                 unsigned char* secret, int* free_secret, int encrypt, void** abstract) {
  const auto direction = encrypt != 0 ? PacketCipher::Direction::kSeal : PacketCipher::Direction::kOpen;
  return install(CipherAesGcm::create(direction, {secret, static_cast<std::size_t>(method->secret_len)},
                                      {iv, CipherAesGcm::kIvSize}),
                 CipherAesGcm::kBlockSize, encrypt, free_iv, free_secret, abstract);
}

int init_chacha20poly1305(LIBSSH2_SESSION*, const LIBSSH2_CRYPT_METHOD*, unsigned char*, int* free_iv,
                          unsigned char* secret, int* free_secret, int encrypt, void** abstract) {
  return install(CipherChaCha20Poly1305::create({secret, CipherChaCha20Poly1305::kKeySize}),
                 CipherChaCha20Poly1305::kBlockSize, encrypt, free_iv, free_secret, abstract);
}

// What libssh2 reads was opened before (pass_packet()), so its length is in the clear.
int get_length(LIBSSH2_SESSION*, unsigned int, unsigned char* data, size_t data_size, unsigned int* length,
               void** abstract) {
  const KeyedCipher* self = keyed(abstract);
  // 0, which libssh2 refuses. Were this to fail, libssh2 would free the buffer of the packet before, again.
  *length = self != nullptr && self->opened && data_size >= PacketCipher::kLengthSize ? load_u32(data) : 0;
  return 0;
}

// Sealing, `size` is length field and body, and the tag goes behind them. Opening, `packet` begins with the
// length field too, but `size` is the body alone, and libssh2 wants the body moved to the front.
int crypt(LIBSSH2_SESSION*, unsigned int seqno, unsigned char* packet, size_t size, void** abstract, int) {
  KeyedCipher* self = keyed(abstract);
  if (self == nullptr) return kCryptFailed;
  if (self->seals) {
    return self->cipher->seal(seqno, packet, size - PacketCipher::kLengthSize) ? 0 : kCryptFailed;
  }
  // Not 1, as libssh2's own ciphers do: it would pass for message number 1.
  if (!std::exchange(self->opened, false)) return LIBSSH2_ERROR_DECRYPT;
  std::memmove(packet, packet + PacketCipher::kLengthSize, size);
  return 0;
}

int destroy_cipher(LIBSSH2_SESSION*, void** abstract) {
  if (abstract == nullptr) return 0;
  delete keyed(abstract);
  *abstract = nullptr;
  return 0;
}

LIBSSH2_CRYPT_METHOD aes_gcm_method(const char* name, int key_size) {
  return {name,
          "",
          CipherAesGcm::kBlockSize,
          CipherAesGcm::kIvSize,
          key_size,
          PacketCipher::kTagSize,
          kRequiresFullPacket,
          init_aes_gcm,
          get_length,
          crypt,
          destroy_cipher,
          nullptr};
}

LIBSSH2_CRYPT_METHOD chacha20poly1305_method(const char* name) {
  return {name,
          "",
          CipherChaCha20Poly1305::kBlockSize,
          0,
          CipherChaCha20Poly1305::kKeySize,
          PacketCipher::kTagSize,
          kRequiresFullPacket,
          init_chacha20poly1305,
          get_length,
          crypt,
          destroy_cipher,
          nullptr};
}

// libssh2's table, name for name, with our methods in the place of its own.
class MethodTable {
 public:
  MethodTable() {
    std::size_t count = 0;
    for (const LIBSSH2_CRYPT_METHOD** method = __real_libssh2_crypt_methods(); *method != nullptr; ++method) {
      if (count < kMaxMethods) entries_[count++] = ours_for(*method);
    }
  }
  const LIBSSH2_CRYPT_METHOD** entries() { return entries_.data(); }
  bool is_ours(const LIBSSH2_CRYPT_METHOD* method) const {
    return method == &aes128_gcm_ || method == &aes256_gcm_ || method == &chacha20poly1305_;
  }

 private:
  const LIBSSH2_CRYPT_METHOD* ours_for(const LIBSSH2_CRYPT_METHOD* theirs) const {
    for (const LIBSSH2_CRYPT_METHOD* ours : {&aes128_gcm_, &aes256_gcm_, &chacha20poly1305_}) {
      if (std::string_view(ours->name) == theirs->name) return ours;
    }
    return theirs;
  }

  const LIBSSH2_CRYPT_METHOD aes128_gcm_ = aes_gcm_method("aes128-gcm@openssh.com", 16);
  const LIBSSH2_CRYPT_METHOD aes256_gcm_ = aes_gcm_method("aes256-gcm@openssh.com", 32);
  const LIBSSH2_CRYPT_METHOD chacha20poly1305_ = chacha20poly1305_method("chacha20-poly1305@openssh.com");
  std::array<const LIBSSH2_CRYPT_METHOD*, kMaxMethods + 1> entries_{};  // ends with a null pointer
};

MethodTable& method_table() {
  static MethodTable table;
  return table;
}

// --- memory ------------------------------------------------------------------------------------------------

void* allocate(std::size_t size, void** abstract) {
  auto* owner = static_cast<Owner*>(*abstract);
  void* data = owner->memory().allocate(size);
  if (data == nullptr) owner->on_memory_limit();
  return data;
}

void* reallocate(void* data, std::size_t size, void** abstract) {
  auto* owner = static_cast<Owner*>(*abstract);
  void* moved = owner->memory().reallocate(data, size);
  if (moved == nullptr) owner->on_memory_limit();
  return moved;
}

void release(void* data, void** abstract) { static_cast<Owner*>(*abstract)->memory().release(data); }

// libssh2 forgets the server's host key when a session ends between the key's arrival and the first NEWKEYS.
void destroy_early_host_key(LIBSSH2_SESSION* session) {
  auto* head = reinterpret_cast<LIBSSH2_SESSION_HEAD*>(session);
  if ((head->state & kStateNewKeys) != 0 || head->hostkey == nullptr) return;
  if (head->hostkey->dtor != nullptr) head->hostkey->dtor(session, &head->server_hostkey_abstract);
}

}  // namespace

SessionPtr make_session(Owner* owner) {
  SessionPtr session(libssh2_session_init_ex(allocate, release, reallocate, owner));
  if (session) libssh2_session_set_blocking(session.get(), 0);
  return session;
}

void SessionDeleter::operator()(LIBSSH2_SESSION* session) const {
  destroy_early_host_key(session);
  // EAGAIN could only come from channels, of which libssh2 has none here. What a failure leaves goes with the
  // owner's memory.
  libssh2_session_free(session);
}

int read(LIBSSH2_SESSION* session) { return _libssh2_transport_read(session); }

int send(LIBSSH2_SESSION* session, ByteView head, ByteView body) {
  return _libssh2_transport_send(session, head.data(), head.size(), body.data(), body.size());
}

// --- packets past libssh2 ----------------------------------------------------------------------------------

namespace {

LIBSSH2_SESSION_HEAD* head_of(LIBSSH2_SESSION* session) {
  return reinterpret_cast<LIBSSH2_SESSION_HEAD*>(session);
}

// The cipher that is on; nullptr if it is none of ours.
KeyedCipher* cipher_of(LIBSSH2_SESSION* session, LIBSSH2_ENDPOINT& direction) {
  if ((head_of(session)->state & kStateNewKeys) == 0 || !method_table().is_ours(direction.crypt))
    return nullptr;
  return static_cast<KeyedCipher*>(direction.crypt_abstract);
}

// RFC 4253 section 6 wants random padding. A few bytes for each packet, out of a store that is made in one
// go.
ByteView random_padding(std::size_t size) {
  static std::array<std::uint8_t, 4096> store;
  static std::size_t used = store.size();
  if (used + size > store.size()) {
    if (RAND_bytes(store.data(), static_cast<int>(store.size())) != 1) return {};
    used = 0;
  }
  used += size;
  return ByteView(store).subspan(used - size, size);
}

}  // namespace

ByteView session_id(LIBSSH2_SESSION* session) {
  const LIBSSH2_SESSION_HEAD* head = head_of(session);
  if (head->session_id == nullptr) return {};
  return {head->session_id, head->session_id_len};
}

void forget_host_key(LIBSSH2_SESSION* session) {
  LIBSSH2_SESSION_HEAD* head = head_of(session);
  owner_of(session)->memory().release(std::exchange(head->server_hostkey, nullptr));
  head->server_hostkey_len = 0;
}

Framing framing(LIBSSH2_SESSION* session) {
  if ((head_of(session)->state & kStateNewKeys) == 0) return Framing::kClear;
  return cipher_of(session, head_of(session)->remote) != nullptr ? Framing::kOurs : Framing::kLibssh2;
}

std::optional<std::uint32_t> body_size(LIBSSH2_SESSION* session, const std::uint8_t* length_field) {
  LIBSSH2_ENDPOINT& remote = head_of(session)->remote;
  return cipher_of(session, remote)->cipher->get_length(remote.seqno, length_field);
}

bool open_packet(LIBSSH2_SESSION* session, const std::uint8_t* packet, std::size_t body, std::uint8_t* out) {
  LIBSSH2_ENDPOINT& remote = head_of(session)->remote;
  return cipher_of(session, remote)->cipher->open_to(remote.seqno, packet, body, out);
}

void take_packet(LIBSSH2_SESSION* session) { ++head_of(session)->remote.seqno; }

void pass_packet(LIBSSH2_SESSION* session) { cipher_of(session, head_of(session)->remote)->opened = true; }

bool exchanging(LIBSSH2_SESSION* session) { return (head_of(session)->state & kStateExchanging) != 0; }

bool seals(LIBSSH2_SESSION* session) {
  return !exchanging(session) && cipher_of(session, head_of(session)->local) != nullptr;
}

std::size_t sealed_size(std::size_t payload) {
  return PacketCipher::kLengthSize + 1 + payload + kMaxPadding + PacketCipher::kTagSize;
}

std::size_t seal(LIBSSH2_SESSION* session, ByteView head, ByteView body, std::uint8_t* out) {
  LIBSSH2_ENDPOINT& local = head_of(session)->local;
  KeyedCipher* self = cipher_of(session, local);
  const std::size_t unpadded = 1 + head.size() + body.size();
  std::size_t padding = self->block - unpadded % self->block;
  if (padding < kMinPadding) padding += self->block;
  // One part for all that is small, so that the cipher is not called for each of a few bytes.
  std::array<std::uint8_t, 64> start;
  const std::size_t start_size = std::min(head.size(), start.size() - 1);
  start[0] = static_cast<std::uint8_t>(padding);
  std::copy_n(head.begin(), start_size, start.begin() + 1);
  const ByteView parts[] = {
      {start.data(), 1 + start_size}, head.subspan(start_size), body, random_padding(padding)};
  if (parts[3].empty() || !self->cipher->seal_from(local.seqno, parts, out)) return 0;
  ++local.seqno;
  return PacketCipher::kLengthSize + unpadded + padding + PacketCipher::kTagSize;
}

}  // namespace jump::seam

extern "C" {

int __wrap__libssh2_packet_add(LIBSSH2_SESSION* session, unsigned char* data, size_t datalen, int macstate,
                               uint32_t seq) {
  using jump::seam::Owner;
  Owner* owner = jump::seam::owner_of(session);
  if (owner == nullptr) return __real__libssh2_packet_add(session, data, datalen, macstate, seq);
  Owner::Verdict verdict = Owner::Verdict::kReject;
  if (macstate == jump::seam::kMacInvalid) {
    owner->on_bad_packet("a packet failed authentication");
    // With encrypt-then-MAC, a packet whose padding claims to be longer than the packet: libssh2 does not
    // check.
  } else if (datalen == 0 || datalen > LIBSSH2_PACKET_MAXPAYLOAD) {
    owner->on_bad_packet("impossible padding length");
  } else {
    verdict = owner->on_packet({data, datalen});
  }
  if (verdict == Owner::Verdict::kPass)
    return __real__libssh2_packet_add(session, data, datalen, macstate, seq);
  owner->memory().release(data);
  return verdict == Owner::Verdict::kTaken ? 0 : LIBSSH2_ERROR_PROTO;
}

const LIBSSH2_CRYPT_METHOD** __wrap_libssh2_crypt_methods(void) {
  return jump::seam::method_table().entries();
}

}  // extern "C"
