// Bytes that are wiped when they go: keys, passphrases, passwords. Move-only, never printed, never logged.
#pragma once

#include <string_view>

#include "base/bytes.h"

namespace jump {

class Secret {
 public:
  Secret() = default;
  explicit Secret(Bytes&& bytes) : bytes_(std::move(bytes)) {}
  explicit Secret(std::string_view text) : bytes_(to_bytes(as_bytes(text))) {}
  ~Secret() { wipe(); }
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  ByteView view() const { return bytes_; }
  std::string_view text() const { return as_text(bytes_); }
  bool empty() const { return bytes_.empty(); }
  void wipe();

 private:
  Bytes bytes_;
};

}  // namespace jump
