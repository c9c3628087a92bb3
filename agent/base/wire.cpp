#include "base/wire.h"

namespace jump {

ByteView WireReader::bytes(std::size_t count) {
  if (!ok_ || data_.size() < count) {
    ok_ = false;
    data_ = {};
    return {};
  }
  ByteView out = data_.first(count);
  data_ = data_.subspan(count);
  return out;
}

std::uint8_t WireReader::u8() {
  ByteView b = bytes(1);
  return b.empty() ? std::uint8_t{0} : b[0];
}

std::uint32_t WireReader::u32() {
  ByteView b = bytes(4);
  return b.empty() ? 0 : load_u32(b.data());
}

std::uint64_t WireReader::u64() {
  ByteView b = bytes(8);
  return b.empty() ? 0 : (std::uint64_t{load_u32(b.data())} << 32) | load_u32(b.data() + 4);
}

ByteView WireReader::string() { return bytes(u32()); }

ByteView WireReader::rest() { return bytes(data_.size()); }

WireWriter& WireWriter::u8(std::uint8_t value) {
  out_.push_back(value);
  return *this;
}

WireWriter& WireWriter::u32(std::uint32_t value) {
  std::uint8_t buffer[4];
  store_u32(buffer, value);
  return raw(buffer);
}

WireWriter& WireWriter::u64(std::uint64_t value) {
  return u32(static_cast<std::uint32_t>(value >> 32)).u32(static_cast<std::uint32_t>(value));
}

WireWriter& WireWriter::string(ByteView value) {
  return u32(static_cast<std::uint32_t>(value.size())).raw(value);
}

WireWriter& WireWriter::raw(ByteView value) {
  out_.insert(out_.end(), value.begin(), value.end());
  return *this;
}

}  // namespace jump
