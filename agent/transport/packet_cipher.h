// PacketCipher: one direction's authenticated encryption of whole SSH packets under one key. Pure: bytes,
// no session, no libssh2. seam.cpp puts these in the place of libssh2's own ciphers.
//
//   packet  =  4 bytes length field | `length` bytes body (padding length, payload, padding) | kTagSize bytes
//   tag
//
// Invariant: after open() returned false nothing of the packet may be used, and the object is good for
// nothing more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace jump {

inline std::size_t total_size(std::span<const ByteView> parts) {
  std::size_t sum = 0;
  for (ByteView part : parts) sum += part.size();
  return sum;
}

class PacketCipher {
 public:
  enum class Direction { kSeal, kOpen };

  static constexpr std::size_t kLengthSize = 4;
  static constexpr std::size_t kTagSize = 16;
  // OpenSSH's PACKET_MAX_SIZE. It sends such packets: to hide that nothing is echoed, it answers what is
  // typed at a terminal without echo by as long an SSH_MSG_IGNORE, and a paste is long.
  static constexpr std::uint32_t kMaxLength = 256 * 1024;

  virtual ~PacketCipher() = default;
  PacketCipher() = default;
  PacketCipher(const PacketCipher&) = delete;
  PacketCipher& operator=(const PacketCipher&) = delete;

  // The body's length, out of a packet's first four bytes. Nothing when no honest peer would send such a
  // length. It is not authenticated yet: open() does that.
  virtual std::optional<std::uint32_t> get_length(std::uint32_t seqno, const std::uint8_t* field) = 0;
  // Decrypts the body of `packet`, which is whole (4 + body + kTagSize bytes), to `out`, once the tag proved
  // good. `out` may be the body's own place.
  virtual bool open_to(std::uint32_t seqno, const std::uint8_t* packet, std::size_t body,
                       std::uint8_t* out) = 0;
  // Makes a whole packet at `packet` (4 + body + kTagSize bytes) whose body are the parts, one behind the
  // other. A part may lie where it belongs in the packet already, not elsewhere in it.
  virtual bool seal_from(std::uint32_t seqno, std::span<const ByteView> parts, std::uint8_t* packet) = 0;

  // The same in place.
  bool open(std::uint32_t seqno, std::uint8_t* packet, std::size_t body) {
    return open_to(seqno, packet, body, packet + kLengthSize);
  }
  bool seal(std::uint32_t seqno, std::uint8_t* packet, std::size_t body) {
    const ByteView part(packet + kLengthSize, body);
    return seal_from(seqno, {&part, 1}, packet);
  }
};

}  // namespace jump
