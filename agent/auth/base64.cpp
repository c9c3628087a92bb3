#include "auth/base64.h"

#include <algorithm>
#include <cstring>

namespace jump {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// 0..63, or -1.
int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

std::optional<Bytes> give_up(Bytes* partial) {
  if (!partial->empty()) explicit_bzero(partial->data(), partial->size());
  return std::nullopt;
}

}  // namespace

std::string base64_encode(ByteView data) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < data.size(); i += 3) {
    std::size_t have = std::min<std::size_t>(3, data.size() - i);
    std::uint32_t group = std::uint32_t{data[i]} << 16;
    if (have > 1) group |= std::uint32_t{data[i + 1]} << 8;
    if (have > 2) group |= data[i + 2];
    out += kAlphabet[group >> 18];
    out += kAlphabet[(group >> 12) & 63];
    out += have > 1 ? kAlphabet[(group >> 6) & 63] : '=';
    out += have > 2 ? kAlphabet[group & 63] : '=';
  }
  return out;
}

std::optional<Bytes> base64_decode(std::string_view text) {
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t group = 0;
  int digits = 0, padding = 0;  // of the current group of four
  for (char c : text) {
    if (is_space(c)) continue;
    if (c == '=') {
      if (digits < 2 || digits + ++padding > 4) return give_up(&out);
      continue;
    }
    int value = value_of(c);
    if (value < 0 || padding > 0) return give_up(&out);
    group = (group << 6) | static_cast<std::uint32_t>(value);
    if (++digits < 4) continue;
    out.push_back(static_cast<std::uint8_t>(group >> 16));
    out.push_back(static_cast<std::uint8_t>(group >> 8));
    out.push_back(static_cast<std::uint8_t>(group));
    group = 0;
    digits = 0;
  }
  if (digits == 0) return out;
  if (digits + padding != 4) return give_up(&out);
  std::uint32_t unused = digits == 2 ? group & 0xf : group & 0x3;
  if (unused != 0) return give_up(&out);
  group <<= 6 * padding;
  out.push_back(static_cast<std::uint8_t>(group >> 16));
  if (digits == 3) out.push_back(static_cast<std::uint8_t>(group >> 8));
  return out;
}

}  // namespace jump
