#include "openssh/mux_framer.h"

#include <string>
#include <utility>

#include "base/wire.h"

namespace jump {
namespace {

constexpr std::size_t kLengthBytes = 4;

}  // namespace

void MuxFramer::feed(ByteView data) {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(head_));
  head_ = 0;
  buffer_.insert(buffer_.end(), data.begin(), data.end());
}

Result<std::optional<ByteView>> MuxFramer::next() {
  if (buffered() < kLengthBytes) return std::optional<ByteView>();
  std::uint32_t length = load_u32(buffer_.data() + head_);
  if (length == 0 || length > max_packet_) {
    return Error{Errc::kProtocol,
                 "a packet of " + std::to_string(length) + " bytes (1 to " + std::to_string(max_packet_) +
                     " are possible)",
                 {}};
  }
  if (buffered() - kLengthBytes < length) return std::optional<ByteView>();
  ByteView packet = ByteView(buffer_).subspan(head_ + kLengthBytes, length);
  head_ += kLengthBytes + length;
  return std::optional<ByteView>(packet);
}

bool MuxFramer::take_byte() {
  if (buffered() == 0) return false;
  head_++;
  return true;
}

Bytes MuxFramer::take_rest() {
  feed({});
  return std::exchange(buffer_, {});
}

}  // namespace jump
