// ProxyHandshake: what a client of a dynamic forward says first. One port serves SOCKS4 and 4a, SOCKS5
// (RFC 1928) and HTTP CONNECT (RFC 9110, section 9.3.6); the first byte tells them apart. Sans-IO:
//
//   client's bytes ─► feed() ─► target() ─► the owner opens a channel ─► success() or failure()
//                       └─► take_output(): the answers on the way, and the refusal of what is not served
//
// Invariants: feed() takes the bytes of the handshake and never one beyond them, however they are split; what
// follows (early TLS data) stays with the caller. Whatever a client sends, no more is kept than the bounds
// below. Passwords are never kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "forward/proxy_reply.h"
#include "stream/io.h"

namespace jump {

class ProxyHandshake {
 public:
  enum class State {
    kReading,    // feed() wants more
    kRequested,  // target() is known: one success() or failure() is due
    kFailed      // error() says why. The refusal is in take_output(), and may be empty. Write it, end the
                 // stream and read on until the client ends, too: unread bytes would reset the connection
                 // and could take the refusal along.
  };
  enum class Protocol { kUnknown, kSocks4, kSocks4a, kSocks5, kHttp };

  static constexpr std::size_t kMaxHost = 255;    // SOCKS5's length is one byte; RFC 1035, section 2.3.4
  static constexpr std::size_t kMaxUserId = 255;  // SOCKS4 gives no bound; SOCKS5's is this
  static constexpr std::size_t kMaxRequestLine = 8000;    // what RFC 9112, section 3, asks everybody to take
  static constexpr std::size_t kMaxHttpHead = 64 * 1024;  // counted, not kept; tickets in headers grow long

  // Returns how many bytes were taken: all of them in kReading, none after it.
  std::size_t feed(ByteView data);

  State state() const { return state_; }
  Protocol protocol() const { return protocol_; }
  const Endpoint& target() const;  // in kRequested; a name or a literal address, and a port that is not 0
  const Error& error() const;      // in kFailed: kProtocol, kUnsupported, kInvalid (the target), kLimit

  // What is to be written now, in kReading too: SOCKS5 answers before it asks.
  Bytes take_output();

  // --- in kRequested ---
  Bytes success() const;
  Bytes failure(const Error& error) const;

 private:
  enum class Step {
    kFirstByte,
    kSocks4Request,      // command, port, address
    kSocks4User,         // skipped, up to a NUL
    kSocks4Name,         // 4a: up to a NUL
    kSocks5MethodCount,  //
    kSocks5Methods,
    kSocks5Login,     // RFC 1929: version, length of the user's name
    kSocks5User,      // and the length of the password
    kSocks5Password,  // skipped
    kSocks5Request,   // version, command, reserved, type of address
    kSocks5NameLength,
    kSocks5Address,  // and port
    kHttpRequestLine,
    kHttpHeaders,  // skipped, up to an empty line
  };

  void take(std::uint8_t byte);
  void on_first_byte(std::uint8_t byte);
  void gather(Step step, std::size_t count);  // `count` bytes into field_, then on_field()
  void on_field();

  void on_socks4_request();
  void on_socks4_user(std::uint8_t byte);
  void on_socks4_name(std::uint8_t byte);
  void on_socks4_end(std::string host);

  void on_socks5_methods();
  void on_socks5_login();
  void on_socks5_user();
  void on_socks5_password();
  void on_socks5_request();
  void on_socks5_address();
  std::string socks5_host() const;

  void on_http_line(std::uint8_t byte);
  void on_http_request();
  void on_http_header(std::uint8_t byte);
  void on_http_end();

  void request(std::string host, std::uint16_t port);
  void refuse(Error error, const Bytes& answer);
  void refuse_socks5(Socks5Reply code, Error error);
  void refuse_http(int status, Error error);
  void answer(ByteView bytes);

  State state_ = State::kReading;
  Protocol protocol_ = Protocol::kUnknown;
  Step step_ = Step::kFirstByte;
  Bytes field_;                  // of fixed length, as it comes in
  std::size_t wanted_ = 0;       // bytes of field_; of the password: bytes left to skip
  std::string text_;             // of a length that its end tells: SOCKS4's name, HTTP's request line
  std::size_t skipped_ = 0;      // bytes of SOCKS4's user id, of HTTP's headers
  std::size_t line_length_ = 0;  // of the current header, its CR included
  std::uint8_t last_byte_ = 0;   // of the current header
  std::uint8_t command_ = 0;
  std::uint8_t address_type_ = 0;
  std::uint16_t port_ = 0;  // SOCKS4's comes before the name
  Endpoint target_;
  Error error_;
  Bytes output_;
};

// "SOCKS4", "SOCKS4a", "SOCKS5", "HTTP CONNECT"; "unknown".
std::string_view proxy_protocol_name(ProxyHandshake::Protocol protocol);

}  // namespace jump
