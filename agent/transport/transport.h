// Transport: one SSH transport connection (RFC 4253) and its user authentication (RFC 4252), client side,
// sans-IO. libssh2 1.11.1 does the key exchange, host-key signature, ciphers' keys, rekeying and userauth;
// everything of the connection protocol (messages 80–100) passes through untouched to the owner. See seam.h
// for how.
//
//   network bytes ── feed() ─►┌───────────┐── on_packet() ─► connection packets (decrypted)
//                             │ Transport │
//   network bytes ◄─ output() └───────────┘◄─ send_packet() ─ connection packets
//
// The owner feeds bytes, calls advance(), and looks at state(): kExchange → kHostKey (the owner judges
// host_key() and calls accept_host_key() or gives up) → kUserauth (the owner starts attempts, one at a time)
// → kConnection. Any error leads to kFailed, for good. No method blocks, none calls the owner back except
// advance(), through PacketHandler. Invariant: connection packets are delivered in order, each once, and
// never before USERAUTH_SUCCESS.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_queue.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace jump {

// Receives decrypted connection-protocol packets (first byte: message number 80..127), from within advance().
// It must not call send_packet() from there: the key exchange may be half-way. Queue, and send after
// advance().
class PacketHandler {
 public:
  // `payload` stays good until on_packets_end().
  virtual void on_packet(ByteView payload) = 0;
  // No further packet for now: comes after each run of on_packet()s.
  virtual void on_packets_end() {}

 protected:
  ~PacketHandler() = default;
};

struct TransportOptions {
  // Comma-separated algorithm names in order of preference, as in ssh_config; empty: our defaults (AES-GCM
  // first where the CPU has AES instructions, then ChaCha20-Poly1305, then libssh2's AES-CTR).
  std::string ciphers;
  std::string kex;
  std::string host_key_algorithms;
  std::string macs;
};

struct HostKey {
  std::string algorithm;  // "ssh-ed25519", "rsa-sha2-512" appears as the key type "ssh-rsa"
  Bytes blob;             // RFC 4253 6.6 public key blob
};

// What the server's answer to one attempt was.
struct AuthOutcome {
  enum class Kind { kSuccess, kFailure, kPartial };  // kPartial: accepted, and more methods are wanted
  Kind kind = Kind::kFailure;
  std::vector<std::string> can_continue;  // method names of USERAUTH_FAILURE, in the server's order
  bool key_was_accepted = false;  // publickey: the server said PK_OK, so only the signature was refused
  std::string note;               // the attempt ended on our side, and why ("no touch within 30 s")
};

// A signature the server wants: sign `data` with the key whose blob the attempt named.
struct SignRequest {
  std::string algorithm;  // "rsa-sha2-512", "ssh-ed25519", "ecdsa-sha2-nistp256", … also where the key is a
                          // certificate
  Bytes data;             // RFC 4252 section 7: session id and request
};

// What the server wants to hear in the attempt under way. All text is the server's, unsanitised.
struct AuthQuestion {
  enum class Kind {
    kInformation,     // keyboard-interactive (RFC 4256): an answer to each prompt; there may be none
    kPasswordChange,  // the password has expired (RFC 4252 section 8): the old one, then a new one
  };
  struct Prompt {
    std::string text;
    bool echo = false;
  };
  Kind kind = Kind::kInformation;
  std::string name;             // kInformation
  std::string instruction;      // kPasswordChange: the server's prompt
  std::vector<Prompt> prompts;  // kInformation; at most kMaxPrompts
};

class Transport {
 public:
  enum class State { kExchange, kHostKey, kUserauth, kConnection, kFailed };

  static Result<std::unique_ptr<Transport>> create(const TransportOptions& options, PacketHandler* handler);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Bytes from the network; kept until advance() uses them. The caller bounds what it feeds between two
  // advance()s.
  void feed(ByteView data);
  // The network side has ended. advance() fails the transport once all fed bytes are used.
  void feed_eof();
  // Does all that can be done with what was fed, delivering packets, and returns the state after it. Call it
  // once at the start (it sends our banner), after every feed(), and after accept_host_key() or
  // provide_signature().
  // `fresh` are bytes from the network that come behind what was fed: the way without a copy.
  State advance(ByteView fresh = {});

  State state() const;
  const Error& error() const;  // in kFailed
  // Encrypted bytes for the network, to be drained by the owner. Bounded by what the owner sends.
  ByteQueue& output();

  const HostKey& host_key() const;  // from kHostKey on
  void accept_host_key();           // kHostKey → kUserauth
  // RFC 4253 section 7.2; from kHostKey on.
  ByteView session_id() const;
  std::string server_banner() const;  // "SSH-2.0-OpenSSH_9.2p1 …", printable; empty before it came
  struct AgreedAlgorithms {
    std::string kex, host_key, cipher;
    std::string mac;  // empty with an AEAD cipher
  };
  AgreedAlgorithms agreed_algorithms() const;  // all empty before kHostKey
  std::string describe_algorithms()
      const;  // "curve25519-sha256, aes128-gcm@openssh.com" for status; after kHostKey
  // Text of SSH_MSG_USERAUTH_BANNERs since the last call, unsanitised (RFC 4252 section 5.4). At most
  // kMaxBannerText bytes in all; the rest is dropped.
  static constexpr std::size_t kMaxBannerText = 64 * 1024;
  std::string take_userauth_banner();

  // Userauth attempts (state kUserauth, one at a time). The outcome comes from take_outcome() after
  // advance().
  void start_none(const std::string& user);
  // RSA keys sign with SHA-2 or, where the server cannot (no server-sig-algs), not at all: the outcome is a
  // failure with a note, and the server was not asked.
  void start_publickey(const std::string& user, ByteView public_key_blob);
  // With which of "rsa-sha2-512,rsa-sha2-256", and in which order of preference; not empty.
  void set_rsa_algorithms(std::string_view names);
  // After PK_OK: what to sign; asked for once. Answer it, soon or late, with provide_signature().
  std::optional<SignRequest> take_sign_request();
  // The signature blob as RFC 4253 6.6 has it (string algorithm, string signature), as ssh-agent returns it;
  // or the reason why there is none: the attempt then fails and the server is not told.
  void provide_signature(Result<Bytes> signature);

  // Answers are sent once and wiped. What would not fit a packet fails with a note.
  void start_password(const std::string& user, Secret password);
  void start_keyboard_interactive(const std::string& user);
  // More prompts in one question, more questions in one attempt, or longer texts than these (bytes) are a
  // broken server's: OpenSSH asks at most 32 at once, and a text must hold a code to be photographed.
  static constexpr std::size_t kMaxPrompts = 32;
  static constexpr std::size_t kMaxQuestions = 100;
  static constexpr std::size_t kMaxPromptText = 16 * 1024;
  // Each question is asked for once. Answer it, soon or late, with one Secret per prompt (kPasswordChange:
  // the old and the new password); or with the reason why there is none: the attempt then fails with it as
  // its note, and the server is not told, as the next attempt tells it (RFC 4252 section 5.1).
  std::optional<AuthQuestion> take_question();
  void provide_answers(Result<std::vector<Secret>> answers);
  std::optional<AuthOutcome> take_outcome();

  // Sends one connection packet, `head` then `body` as one payload of at most max_payload() bytes. False: not
  // now, as a key exchange is on (state kConnection goes on): keep it and offer the same again after the next
  // advance().
  static constexpr std::size_t kMaxPayload = 34000;  // libssh2's MAX_SSH_PACKET_LEN (35,000) less its margins
  // With ciphers of ours, as is known once a packet was sent, there is no bound but the server's.
  std::size_t max_payload() const;
  bool send_packet(ByteView head, ByteView body);

  // Tells the server that we are leaving, if that can be sent now (not half-way through a key exchange). The
  // owner drains output(), if it likes, and ends the connection.
  void disconnect();

  std::uint64_t rekeys() const;        // completed key exchanges after the first
  std::size_t library_memory() const;  // bytes that libssh2 holds now

 private:
  class Impl;
  explicit Transport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jump
