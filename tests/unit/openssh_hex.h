// Bytes as hexadecimal digits, as recorders print them. Blanks are skipped.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace jump::test {

inline Bytes from_hex(std::string_view text) {
  Bytes out;
  std::string digits;
  for (char c : text) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    out.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return out;
}

// A recorded packet without its length.
inline Bytes body_of(std::string_view text) {
  Bytes frame = from_hex(text);
  return {frame.begin() + 4, frame.end()};
}

}  // namespace jump::test
