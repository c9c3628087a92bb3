// The data types of SSH (RFC 4251, section 5) read from and written to byte buffers. Used for every packet
// that jumpagent itself owns: the connection protocol, ssh-agent, key files, mux. A reader never runs past
// its buffer: after the first short read it answers zero or empty and ok() is false.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace jump {

class WireReader {
 public:
  explicit WireReader(ByteView data) : data_(data) {}

  std::uint8_t u8();
  bool boolean() { return u8() != 0; }
  std::uint32_t u32();
  std::uint64_t u64();
  ByteView string();                                     // uint32 length, then bytes
  std::string_view text() { return as_text(string()); }  // the same, as text (unchecked)
  ByteView bytes(std::size_t count);
  ByteView rest();  // all that is left

  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && data_.empty(); }
  std::size_t left() const { return data_.size(); }

 private:
  ByteView data_;
  bool ok_ = true;
};

class WireWriter {
 public:
  WireWriter& u8(std::uint8_t value);
  WireWriter& boolean(bool value) { return u8(value ? 1 : 0); }
  WireWriter& u32(std::uint32_t value);
  WireWriter& u64(std::uint64_t value);
  WireWriter& string(ByteView value);
  WireWriter& string(std::string_view value) { return string(as_bytes(value)); }
  WireWriter& raw(ByteView value);

  ByteView view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

inline std::uint32_t load_u32(const std::uint8_t* p) {
  return (std::uint32_t{p[0]} << 24) | (std::uint32_t{p[1]} << 16) | (std::uint32_t{p[2]} << 8) | p[3];
}

inline void store_u32(std::uint8_t* p, std::uint32_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 24);
  p[1] = static_cast<std::uint8_t>(v >> 16);
  p[2] = static_cast<std::uint8_t>(v >> 8);
  p[3] = static_cast<std::uint8_t>(v);
}

}  // namespace jump
