// The ssh-agent protocol (draft-ietf-sshm-ssh-agent), client side, sans-IO: requests to bytes, replies from
// bytes. Messages travel as uint32 length, then as many bytes, the first being the type; requests are
// answered in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

// A key that the agent can sign with.
struct AgentIdentity {
  Bytes blob;           // exactly as the agent has it: it is asked for by these bytes
  std::string comment;  // the user's words for it; may hold anything
};

// Complete frames, ready to be sent.
Bytes encode_list_request();
// `algorithm` decides the hash for RSA keys: "rsa-sha2-512", "rsa-sha2-256"; anything else sets no flag.
Bytes encode_sign_request(ByteView key_blob, std::string_view algorithm, ByteView data);

// `message` is one frame without its length. Errors: kRefused (the agent said no), kProtocol.
Result<std::vector<AgentIdentity>> decode_identities(ByteView message);
// The signature blob of RFC 4253 section 6.6. Also checks that it was made with `algorithm`: some agents sign
// with SHA-1 whatever the flags say.
Result<Bytes> decode_signature(ByteView message, std::string_view algorithm);

// Cuts a byte stream into messages. After an error it stays in it.
class AgentFramer {
 public:
  static constexpr std::size_t kMaxMessage = 256 * 1024;  // OpenSSH's AGENT_MAX_LEN

  Status feed(ByteView data);   // error: kProtocol, a message longer than kMaxMessage or empty
  std::optional<Bytes> next();  // one message, its length cut off
  void clear() { buffer_.clear(); }

 private:
  Status check_length() const;
  Bytes buffer_;  // at most one message more than what one feed() brings
};

}  // namespace jump
