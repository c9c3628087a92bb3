// The seam between libssh2's transport layer and our connection layer. This is the one place that knows
// libssh2's internals, and it compiles against 1.11.1 only:
//   _libssh2_transport_read, _libssh2_transport_send   called: they are the transport layer
//   _libssh2_packet_add                                wrapped at link time: every decrypted packet passes it
//   libssh2_crypt_methods                              wrapped at link time: the table of ciphers, where
//   AES-GCM and
//                                                      ChaCha20-Poly1305 are replaced by ours
//                                                      (packet_cipher.h)
// Public API of libssh2 is used by transport.cpp as it is.
//
// Invariant: every libssh2 session of this program whose `abstract` is not null was made by make_session().
#pragma once

#include <libssh2.h>

#include <memory>
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

}  // namespace jump::seam
