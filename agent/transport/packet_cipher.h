// PacketCipher: one direction's authenticated encryption of whole SSH packets under one key. Pure: bytes in
// place, no session, no libssh2. seam.cpp puts these in the place of libssh2's own ciphers.
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

#include "base/bytes.h"

namespace jump {

class PacketCipher {
 public:
  enum class Direction { kSeal, kOpen };

  static constexpr std::size_t kLengthSize = 4;
  static constexpr std::size_t kTagSize = 16;
  // No packet is longer than what libssh2's buffer (35,000 bytes) holds with length field and tag.
  static constexpr std::uint32_t kMaxLength = 35000 - kLengthSize - kTagSize;

  virtual ~PacketCipher() = default;
  PacketCipher() = default;
  PacketCipher(const PacketCipher&) = delete;
  PacketCipher& operator=(const PacketCipher&) = delete;

  // The body's length, out of a packet's first four bytes. Nothing when no honest peer would send such a
  // length. It is not authenticated yet: open() does that.
  virtual std::optional<std::uint32_t> get_length(std::uint32_t seqno, const std::uint8_t* field) = 0;
  // Decrypts `body` bytes in place, after the tag proved good. packet: the whole, 4 + body + kTagSize bytes.
  // What is in the length field afterwards is unspecified.
  virtual bool open(std::uint32_t seqno, std::uint8_t* packet, std::size_t body) = 0;
  // Encrypts 4 + body bytes in place and puts the tag behind them.
  virtual bool seal(std::uint32_t seqno, std::uint8_t* packet, std::size_t body) = 0;
};

}  // namespace jump
