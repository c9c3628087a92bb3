// TestServer: the server's side of one SSH transport in memory, written from RFC 4253, 5656 and 8731, for
// tests of Transport. It exchanges keys (curve25519-sha256, ssh-ed25519) and encrypts as a server should;
// after that it says only what the test tells it to, however wrong. No sockets, no threads.
//
//   client bytes ── feed() ─► TestServer ── payloads ─► the test     (what is not key exchange)
//   server bytes ◄─ take_output()        ◄─ send() ──── the test
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/wire.h"
#include "transport/cipher_aes_gcm.h"
#include "transport/cipher_chacha20poly1305.h"

namespace jump::test {

struct TestServerOptions {
  std::string version = "SSH-2.0-TestServer_1.0";
  std::string greeting;  // lines before the version, with their line ends
  std::string kex = "curve25519-sha256,kex-strict-s-v00@openssh.com";
  std::string host_key = "ssh-ed25519";
  std::string cipher_in = "aes128-gcm@openssh.com";  // one of those that PacketCipher has
  std::string cipher_out = "aes128-gcm@openssh.com";
  std::string mac = "hmac-sha2-256";
  std::string sign_algorithms =
      "ssh-ed25519,rsa-sha2-256,rsa-sha2-512";  // server-sig-algs; empty: no EXT_INFO
  bool accept_service = true;                   // answer the SERVICE_REQUEST
};

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

inline Key make_key(int type) {
  EVP_PKEY* key = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_id(type, nullptr);
  EVP_PKEY_keygen_init(context);
  EVP_PKEY_keygen(context, &key);
  EVP_PKEY_CTX_free(context);
  return Key(key, EVP_PKEY_free);
}

inline Bytes raw_public(EVP_PKEY* key) {
  std::size_t size = 32;
  Bytes out(size);
  EVP_PKEY_get_raw_public_key(key, out.data(), &size);
  return out;
}

inline Bytes ed25519_blob(EVP_PKEY* key) {
  return WireWriter().string("ssh-ed25519").string(raw_public(key)).take();
}

// The signature blob, as ssh-agent would return it.
inline Bytes ed25519_sign(EVP_PKEY* key, ByteView data) {
  Bytes signature(64);
  std::size_t size = signature.size();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key);
  EVP_DigestSign(context, signature.data(), &size, data.data(), data.size());
  EVP_MD_CTX_free(context);
  return WireWriter().string("ssh-ed25519").string(signature).take();
}

inline bool ed25519_verify(EVP_PKEY* key, ByteView data, ByteView signature_blob) {
  WireReader reader(signature_blob);
  const bool named = reader.text() == "ssh-ed25519";
  const ByteView signature = reader.string();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, key);
  const bool good =
      EVP_DigestVerify(context, signature.data(), signature.size(), data.data(), data.size()) == 1;
  EVP_MD_CTX_free(context);
  return named && good && reader.at_end();
}

class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {}) : options_(std::move(options)) {
    append(as_bytes(options_.greeting));
    append(as_bytes(options_.version + "\r\n"));
    if (options_.kex.empty()) return;
    start_key_exchange();
  }

  void feed(ByteView data) {
    input_.insert(input_.end(), data.begin(), data.end());
    while (take_packet()) {
    }
  }

  Bytes take_output() { return std::exchange(output_, {}); }

  // Messages of the client that are not the key exchange's, in order.
  bool has_message() const { return !messages_.empty(); }
  Bytes take_message() {
    if (messages_.empty()) return {};
    Bytes message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

  void send(ByteView payload) { send_with_padding(payload, -1); }

  // padding: what the padding length field says, whatever is true; -1: the truth.
  void send_with_padding(ByteView payload, int padding) {
    const std::size_t block = sealer_ && dynamic_cast<CipherAesGcm*>(sealer_.get()) != nullptr ? 16 : 8;
    const std::size_t counted = (sealer_ ? 0 : 4) + 1 + payload.size();
    std::size_t pad = block - counted % block;
    if (pad < 4) pad += block;
    Bytes body;
    body.push_back(static_cast<std::uint8_t>(padding >= 0 ? padding : static_cast<int>(pad)));
    body.insert(body.end(), payload.begin(), payload.end());
    body.resize(body.size() + pad);
    Bytes packet = WireWriter().u32(static_cast<std::uint32_t>(body.size())).raw(body).take();
    if (sealer_) {
      packet.resize(packet.size() + PacketCipher::kTagSize);
      ASSERT_TRUE(sealer_->seal(seqno_out_, packet.data(), body.size()));
    }
    ++seqno_out_;
    append(packet);
  }
  void send_text(std::string_view payload) { send(as_bytes(payload)); }

  // Bytes that are no packet.
  void append(ByteView raw) { output_.insert(output_.end(), raw.begin(), raw.end()); }

  void start_key_exchange() {
    std::uint8_t cookie[16];
    RAND_bytes(cookie, sizeof cookie);
    WireWriter kexinit;
    kexinit.u8(20).raw(cookie).string(options_.kex).string(options_.host_key);
    kexinit.string(options_.cipher_in).string(options_.cipher_out).string(options_.mac).string(options_.mac);
    kexinit.string("none").string("none").string("").string("").boolean(false).u32(0);
    our_kexinit_ = kexinit.take();
    send(our_kexinit_);
  }

  TestServerOptions& options() { return options_; }  // for the next key exchange
  const Bytes& session_id() const { return session_id_; }
  Bytes host_key_blob() const { return ed25519_blob(host_key_.get()); }
  void change_host_key() { host_key_ = make_key(EVP_PKEY_ED25519); }
  void break_host_key_signature() { break_signature_ = true; }
  int key_exchanges() const { return key_exchanges_; }
  // Up to and including our reply and NEWKEYS, or only up to the reply.
  void hold_newkeys() { hold_newkeys_ = true; }
  void release_newkeys() { finish_output(); }

 private:
  bool take_packet() {
    if (client_version_.empty()) return take_version();
    std::uint32_t size = 0;
    if (input_.size() < 16) return false;
    if (opener_) {
      const auto length = opener_->get_length(seqno_in_, input_.data());
      EXPECT_TRUE(length.has_value());
      if (!length) return false;
      size = *length;
    } else {
      size = load_u32(input_.data());
    }
    const std::size_t whole = 4 + size + (opener_ ? PacketCipher::kTagSize : 0);
    if (input_.size() < whole) return false;
    Bytes packet(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(whole));
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(whole));
    EXPECT_TRUE(!opener_ || opener_->open(seqno_in_, packet.data(), size));
    ++seqno_in_;
    on_payload(Bytes(packet.begin() + 5, packet.begin() + 4 + static_cast<std::ptrdiff_t>(size) - packet[4]));
    return true;
  }

  bool take_version() {
    const std::string text(input_.begin(), input_.end());
    const std::size_t end = text.find("\r\n");
    if (end == std::string::npos) return false;
    client_version_ = text.substr(0, end);
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(end + 2));
    return true;
  }

  void on_payload(Bytes payload) {
    switch (payload[0]) {
      case 20:
        their_kexinit_ = std::move(payload);
        return;
      case 21:
        return on_newkeys();
      case 30:
        return on_ecdh_init(payload);
      case 5:
        if (options_.accept_service) {
          payload[0] = 6;
          send(payload);
        }
        return;
      default:
        messages_.push_back(std::move(payload));
    }
  }

  void on_ecdh_init(const Bytes& payload) {
    WireReader reader(ByteView(payload).subspan(1));
    const ByteView q_client = reader.string();
    Key mine = make_key(EVP_PKEY_X25519);
    const Bytes q_server = raw_public(mine.get());
    shared_secret(mine.get(), q_client);
    hash_ = sha256(WireWriter()
                       .string(client_version_)
                       .string(options_.version)
                       .string(their_kexinit_)
                       .string(our_kexinit_)
                       .string(host_key_blob())
                       .string(q_client)
                       .string(q_server)
                       .raw(secret_)
                       .view());
    if (session_id_.empty()) session_id_ = hash_;
    Bytes signature = ed25519_sign(host_key_.get(), hash_);
    if (break_signature_) signature.back() ^= 1;
    send(WireWriter().u8(31).string(host_key_blob()).string(q_server).string(signature).view());
    pending_opener_ = make_cipher(options_.cipher_in, PacketCipher::Direction::kOpen, 'A', 'C');
    pending_sealer_ = make_cipher(options_.cipher_out, PacketCipher::Direction::kSeal, 'B', 'D');
    if (!hold_newkeys_) finish_output();
  }

  void finish_output() {
    hold_newkeys_ = false;
    send_text("\x15");
    sealer_ = std::move(pending_sealer_);
    if (strict()) seqno_out_ = 0;
    if (key_exchanges_ > 0 || options_.sign_algorithms.empty()) return;
    send(WireWriter().u8(7).u32(1).string("server-sig-algs").string(options_.sign_algorithms).view());
  }

  void on_newkeys() {
    opener_ = std::move(pending_opener_);
    if (strict()) seqno_in_ = 0;
    ++key_exchanges_;
  }

  bool strict() const { return options_.kex.find("kex-strict-s") != std::string::npos; }

  // As the mpint that the hashes want.
  void shared_secret(EVP_PKEY* mine, ByteView theirs) {
    Key peer(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, theirs.data(), theirs.size()),
             EVP_PKEY_free);
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(mine, nullptr);
    std::size_t size = 32;
    Bytes secret(size);
    EVP_PKEY_derive_init(context);
    EVP_PKEY_derive_set_peer(context, peer.get());
    EVP_PKEY_derive(context, secret.data(), &size);
    EVP_PKEY_CTX_free(context);
    while (!secret.empty() && secret[0] == 0) secret.erase(secret.begin());
    if (!secret.empty() && secret[0] >= 0x80) secret.insert(secret.begin(), 0);
    secret_ = WireWriter().string(secret).take();
  }

  static Bytes sha256(ByteView data) {
    Bytes out(32);
    unsigned int size = 0;
    EVP_Digest(data.data(), data.size(), out.data(), &size, EVP_sha256(), nullptr);
    return out;
  }

  Bytes derive(char letter, std::size_t size) const {
    Bytes out = sha256(
        WireWriter().raw(secret_).raw(hash_).u8(static_cast<std::uint8_t>(letter)).raw(session_id_).view());
    while (out.size() < size) {
      const Bytes more = sha256(WireWriter().raw(secret_).raw(hash_).raw(out).view());
      out.insert(out.end(), more.begin(), more.end());
    }
    out.resize(size);
    return out;
  }

  std::unique_ptr<PacketCipher> make_cipher(const std::string& name, PacketCipher::Direction direction,
                                            char iv, char key) const {
    if (name.starts_with("chacha20")) return CipherChaCha20Poly1305::create(derive(key, 64));
    return CipherAesGcm::create(direction, derive(key, name.starts_with("aes256") ? 32 : 16), derive(iv, 12));
  }

  TestServerOptions options_;
  Key host_key_ = make_key(EVP_PKEY_ED25519);
  Bytes input_;
  Bytes output_;
  std::deque<Bytes> messages_;
  std::string client_version_;
  Bytes our_kexinit_;
  Bytes their_kexinit_;
  Bytes secret_;
  Bytes hash_;
  Bytes session_id_;
  std::unique_ptr<PacketCipher> opener_, sealer_, pending_opener_, pending_sealer_;
  std::uint32_t seqno_in_ = 0;
  std::uint32_t seqno_out_ = 0;
  int key_exchanges_ = 0;
  bool hold_newkeys_ = false;
  bool break_signature_ = false;
};

}  // namespace jump::test
