// Transport::Impl: drives one libssh2 session over the bytes that were fed, one step at a time, and judges
// each packet before libssh2 sees it (on_packet()). Private to the sources of Transport: transport.cpp
// (setting up, bytes, progress, sending, failure), transport_packets.cpp (what the server says) and
// transport_userauth.cpp (attempts to log in).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_queue.h"
#include "base/secret.h"
#include "base/wire.h"
#include "transport/algorithms.h"
#include "transport/kexinit.h"
#include "transport/packet_cipher.h"
#include "transport/packet_input.h"
#include "transport/seam.h"
#include "transport/transport.h"
#include "transport/version_exchange.h"

namespace jump {

namespace message {

enum Number : std::uint8_t {
  kDisconnect = 1,
  kIgnore = 2,
  kUnimplemented = 3,
  kDebug = 4,
  kServiceAccept = 6,
  kExtInfo = 7,
  kKexInit = 20,
  kNewKeys = 21,
  kKexMethodFirst = 30,
  kKexMethodLast = 49,
  kUserauthRequest = 50,
  kUserauthFailure = 51,
  kUserauthSuccess = 52,
  kUserauthBanner = 53,
  kUserauthPkOk = 60,
  kUserauthChangePassword = 60,
  kUserauthInfoRequest = 60,
  kUserauthInfoResponse = 61,
  kUserauthLast = 79,
  kConnectionFirst = 80,
  kConnectionLast = 127,
};

}  // namespace message

// Of a server's text, in an error message.
inline constexpr std::size_t kQuoted = 200;
inline constexpr char kUserauthSignAlgorithms[] = "rsa-sha2-512,rsa-sha2-256";

// The output queue's chunks, of which it keeps some for the next packets: what is written to a socket in one
// go. Four whole packets.
inline constexpr std::size_t kOutputChunk = 132 * 1024;
inline constexpr std::size_t kOutputSpare = 1;

// A request of ours that may hold secrets: wiped with clear(), and when it goes.
class UserauthRequest {
 public:
  UserauthRequest& operator=(Bytes&& bytes) {
    bytes_ = Secret(std::move(bytes));
    return *this;
  }
  UserauthRequest& operator=(Secret&& bytes) {
    bytes_ = std::move(bytes);
    return *this;
  }
  operator ByteView() const { return bytes_.view(); }  // NOLINT: implicit on purpose
  void clear() { bytes_.wipe(); }

 private:
  Secret bytes_;
};

class Transport::Impl final : public seam::Owner {
 public:
  explicit Impl(PacketHandler* handler) : handler_(handler) {}

  Status open(const TransportOptions& options);

  void feed(ByteView data) { input_.append(data); }
  bool seals() const { return sealing_; }
  void feed_eof() { eof_ = true; }
  State advance(ByteView fresh);
  State state() const { return state_; }
  const Error& error() const { return error_; }
  ByteQueue& output() { return output_; }

  const HostKey& host_key() const { return host_key_; }
  void accept_host_key();
  ByteView session_id() const { return seam::session_id(session_.get()); }
  std::string server_banner() const { return version_.version(); }
  AgreedAlgorithms agreed_algorithms() const;
  std::string describe_algorithms() const;
  std::string take_userauth_banner() { return std::exchange(banner_text_, {}); }

  void start_none(const std::string& user);
  void start_publickey(const std::string& user, ByteView blob);
  void set_rsa_algorithms(std::string_view names);
  void start_password(const std::string& user, Secret password);
  void start_keyboard_interactive(const std::string& user);
  std::optional<SignRequest> take_sign_request() { return std::exchange(sign_request_, std::nullopt); }
  void provide_signature(Result<Bytes> signature);
  std::optional<AuthQuestion> take_question() { return std::exchange(question_, std::nullopt); }
  void provide_answers(Result<std::vector<Secret>> answers);
  std::optional<AuthOutcome> take_outcome() { return std::exchange(outcome_, std::nullopt); }

  bool send_packet(ByteView head, ByteView body);
  void disconnect();
  std::uint64_t rekeys() const { return key_exchanges_ > 0 ? key_exchanges_ - 1 : 0; }

 private:
  // The one userauth attempt that may be under way, step by step.
  enum class Attempt {
    kNone,       // none is
    kRequest,    // request_ is to be sent
    kReply,      // the server is to answer it
    kQuestion,   // the owner is to provide_answers(), which make the next request_
    kPublicKey,  // libssh2 runs it, up to the server's answer to the key
    kSign,       // the owner is to provide_signature()
    kSigned,     // libssh2 runs it, up to the server's answer to the signature
  };

  // Whose requests and replies are ours: libssh2 has no part in them.
  enum class Method { kNone, kPassword, kKeyboardInteractive };

  // seam::Owner
  Verdict on_packet(ByteView payload) override;
  void on_bad_packet(std::string_view why) override;
  void on_memory_limit() override;

  // libssh2's callbacks
  static ssize_t send_callback(libssh2_socket_t, const void* data, size_t size, int, void** abstract);
  static ssize_t recv_callback(libssh2_socket_t, void* buffer, size_t size, int, void** abstract);
  static int sign_callback(LIBSSH2_SESSION*, unsigned char** signature, size_t* size,
                           const unsigned char* data, size_t data_size, void** abstract);

  Status go_without_mac(const std::string& macs, Status otherwise);
  Status prefer(const char* kind, int method, int method_back, const std::string& wanted,
                std::string* chosen);
  ssize_t receive(std::uint8_t* buffer, std::size_t size);
  ssize_t receive_version(std::uint8_t* buffer);
  ssize_t receive_packet(std::span<std::uint8_t> buffer);
  ssize_t starve();
  ssize_t too_long();
  bool open_next();
  bool past_libssh2();
  bool deliver_next();
  void deliver_run();
  std::uint8_t* plain() const { return plain_.get() + place_ * kMaxPacket; }

  int step();
  int step_userauth();
  int run_publickey();
  void end_attempt(AuthOutcome outcome);
  void enter_host_key();
  void check_key_exchange(bool again);

  Verdict on_kexinit(ByteView payload);
  Verdict on_newkeys();
  Verdict on_userauth(std::uint8_t type, ByteView payload);
  Verdict on_failure(ByteView payload);
  Verdict on_success();
  Verdict on_pk_ok(ByteView payload);
  Verdict on_banner(ByteView payload);
  Verdict on_connection(ByteView payload);
  void on_disconnect(ByteView payload);
  void on_ext_info(ByteView payload);
  Verdict on_question(ByteView payload);
  Verdict on_info_request(WireReader reader);
  Verdict on_change_request(WireReader reader);
  Verdict ask(AuthQuestion question);
  void begin_request(const std::string& user, Method method);
  void send_answers(Secret request);
  bool awaits_reply() const;
  int want_signature(ByteView data);
  int use_signature(unsigned char** signature, size_t* size);

  Verdict reject(Errc code, std::string message);
  void note(Errc code, std::string message);
  void note_failure(int rc);
  void fail();
  void set_state(State state);
  Error closed_error() const;
  Error error_of(int rc) const;

  PacketHandler* const handler_;
  State state_ = State::kExchange;
  Error error_;
  std::optional<Error> first_error_;  // libssh2 replaces reasons by consequences: the first reason counts

  static constexpr std::size_t kMaxPacket =
      PacketCipher::kLengthSize + PacketCipher::kMaxLength + PacketCipher::kTagSize;
  // What libssh2 does not count to a packet's length: more than the length field.
  static constexpr std::size_t kMaxMargin = 16;

  PacketInput input_;
  // Packets that are opened and handed on in one run, each in a place of its own.
  static constexpr std::size_t kRun = 8;

  // kRun places of kMaxPacket: length, body, room for a tag. Memory only as far as packets ever were.
  std::unique_ptr<std::uint8_t[]> plain_;
  std::size_t place_ = 0;   // of the opened packet, or of the next one
  std::size_t opened_ = 0;  // size of its body; 0: there is none
  ByteQueue output_{kOutputSpare, kOutputChunk};
  bool eof_ = false;
  bool told_eof_ = false;  // libssh2 knows of it
  bool starved_ = false;   // libssh2 asked for input during this step and there was none
  bool may_read_ = false;  // only advance() may use up input, and so call the handler

  VersionExchange version_;
  Algorithms algorithms_;
  std::optional<Agreement> agreement_;  // of the first key exchange; later ones must come to the same
  bool sealing_ = false;                // a packet was sealed by us
  bool key_exchange_on_ = false;        // from the server's KEXINIT to its NEWKEYS
  std::uint64_t key_exchanges_ = 0;     // the server's NEWKEYS
  std::uint64_t checked_exchanges_ = 0;
  HostKey host_key_;

  Attempt attempt_ = Attempt::kNone;
  std::string user_;
  Bytes public_key_;
  Method method_ = Method::kNone;  // of the attempt under way, unless libssh2 runs it
  UserauthRequest request_;
  std::optional<AuthQuestion> question_;  // for the owner
  std::size_t prompts_asked_ = 0;         // of the last question
  AuthQuestion::Kind question_kind_ = AuthQuestion::Kind::kInformation;
  std::size_t questions_ = 0;  // in this attempt
  std::string rsa_algorithms_ = kUserauthSignAlgorithms;
  std::string sign_algorithm_;
  std::optional<SignRequest> sign_request_;
  std::optional<Result<Bytes>> signature_;
  std::optional<AuthOutcome> reply_;    // the server's, seen passing; what libssh2 makes of it is less
  std::optional<AuthOutcome> outcome_;  // for the owner
  bool key_accepted_ = false;
  bool authenticated_ = false;  // USERAUTH_SUCCESS has passed: connection packets may follow
  std::optional<std::string> server_sign_algorithms_;
  std::string banner_text_;
  std::size_t banner_bytes_ = 0;

  seam::SessionPtr session_;  // last: it goes first, and may still call the callbacks
};

}  // namespace jump
