// The seam between libssh2's transport layer and our connection layer. This is the one place that knows
// libssh2's internals, and it compiles against 1.11.1 only:
//   _libssh2_transport_read, _libssh2_transport_send   called: they are the transport layer
//   _libssh2_packet_add                                wrapped at link time: every decrypted packet passes it
//   libssh2_crypt_methods                              wrapped at link time: the table of ciphers, where
//   AES-GCM and
//                                                      ChaCha20-Poly1305 are replaced by ours
//                                                      (packet_cipher.h)
//   _LIBSSH2_SESSION                                   read: which cipher is on; sequence numbers are counted
//   on
// Public API of libssh2 is used by transport.cpp as it is.
//
// Packets need not go through libssh2 at all, which copies each of them three times: whole ones are opened
// and sealed here, with the session's own keys and sequence numbers. From the server, those that libssh2 must
// see are handed to it opened; to the server, everything may go either way.
//
// Invariant: every libssh2 session of this program whose `abstract` is not null was made by make_session().
#pragma once

#include <libssh2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "transport/session_memory.h"

namespace jump::seam {

// The owner of a session, as the seam sees it. A session's `abstract` points to it.
class Owner {
 public:
  enum class Verdict {
    kPass,    // libssh2 goes on with it
    kTaken,   // done with; libssh2 never sees it
    kReject,  // the connection must end: the call that read it fails
  };

  // Every packet with a good MAC, in order, before libssh2 acts on it; from within seam::read() and whatever
  // else of libssh2 reads. Must not call libssh2.
  virtual Verdict on_packet(ByteView payload) = 0;
  // A packet could not be decrypted or authenticated; the call that read it fails.
  virtual void on_bad_packet(std::string_view why) = 0;
  // libssh2 wants more memory than SessionMemory::kLimit; it will fail somehow.
  virtual void on_memory_limit() = 0;

  SessionMemory& memory() { return memory_; }

 protected:
  ~Owner() = default;

 private:
  SessionMemory memory_;  // goes after the session, which is a member of the class that derives from this
};

struct SessionDeleter {
  void operator()(LIBSSH2_SESSION* session) const;
};
using SessionPtr = std::unique_ptr<LIBSSH2_SESSION, SessionDeleter>;

// A non-blocking session that lives in the owner's memory. nullptr when there is no memory.
SessionPtr make_session(Owner* owner);

// Reads and dispatches packets. LIBSSH2_ERROR_EAGAIN: there is no whole packet yet, or a key exchange is
// half-way.
int read(LIBSSH2_SESSION* session);
// Sends one packet with the payload head + body. LIBSSH2_ERROR_EAGAIN: a key exchange is on, nothing was
// sent.
int send(LIBSSH2_SESSION* session, ByteView head, ByteView body);

// Of the first key exchange (RFC 4253 section 7.2); empty before it.
ByteView session_id(LIBSSH2_SESSION* session);

// Before a key re-exchange: libssh2 1.11.1 puts the next host key in the place of the last, and does not free
// that.
void forget_host_key(LIBSSH2_SESSION* session);

// How the server's packets are told apart now.
enum class Framing {
  kClear,    // no keys yet: a length, and that many bytes
  kOurs,     // by one of our ciphers
  kLibssh2,  // by one of libssh2's own, which nobody else can read ahead of
};
Framing framing(LIBSSH2_SESSION* session);

// With Framing::kOurs. The size of the body of the packet that begins with these four bytes; nothing: no
// honest peer sends that.
std::optional<std::uint32_t> body_size(LIBSSH2_SESSION* session, const std::uint8_t* length_field);
// Decrypts a whole packet's body to `out`, and expects to be told next what becomes of it.
bool open_packet(LIBSSH2_SESSION* session, const std::uint8_t* packet, std::size_t body, std::uint8_t* out);
// The opened packet is done with; libssh2 will not see it.
void take_packet(LIBSSH2_SESSION* session);
// The opened packet is handed to libssh2's receive callback: its length, its body, and kTagSize bytes of
// anything.
void pass_packet(LIBSSH2_SESSION* session);

// A key exchange is under way, as libssh2 sees it.
bool exchanging(LIBSSH2_SESSION* session);
// Whether seal() can send now: with one of our ciphers, and no key exchange under way.
bool seals(LIBSSH2_SESSION* session);
// Room that the sealed packet of that payload needs, at most.
std::size_t sealed_size(std::size_t payload);
// Writes the sealed packet of head + body to `out`; returns its size, 0 when the cipher refuses.
std::size_t seal(LIBSSH2_SESSION* session, ByteView head, ByteView body, std::uint8_t* out);

}  // namespace jump::seam
