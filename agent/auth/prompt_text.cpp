#include "auth/prompt_text.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace jump {
namespace {

struct Range {
  std::uint32_t first, last;
};

// Control characters (C0, DEL, C1), soft hyphen, marks and overrides of direction, separators of lines,
// joiners and other characters without a shape, private use, tags, what is no character at all.
constexpr Range kDropped[] = {{0x00, 0x1f},       {0x7f, 0x9f},       {0xad, 0xad},     {0x61c, 0x61c},
                              {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f},
                              {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164}, {0xe000, 0xf8ff},
                              {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xfff0, 0xfffc}, {0xfffe, 0xffff},
                              {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff}};

bool is_dropped(std::uint32_t code) {
  return std::any_of(std::begin(kDropped), std::end(kDropped),
                     [code](const Range& range) { return code >= range.first && code <= range.last; });
}

struct Character {
  std::uint32_t code;
  std::size_t size;
};

// The character that `text` begins with; nullopt: no UTF-8 (RFC 3629).
std::optional<Character> first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  if (byte(0) < 0x80) return Character{byte(0), 1};
  const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return std::nullopt;
  std::uint32_t code = byte(0) & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return std::nullopt;
  return Character{code, size};
}

std::string readable(std::string_view text, std::size_t limit, char line_end) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "...";
    const std::optional<Character> next = first_character(text);
    if (!next) {
      out += '?';
    } else if (next->code == '\n') {
      out += line_end;
    } else if (next->code == '\t') {
      out += ' ';
    } else if (!is_dropped(next->code)) {
      out += text.substr(0, next->size);
    }
    text.remove_prefix(next ? next->size : 1);
  }
  return out;
}

}  // namespace

std::string readable_text(std::string_view text, std::size_t limit) { return readable(text, limit, '\n'); }

std::string readable_line(std::string_view text, std::size_t limit) { return readable(text, limit, ' '); }

}  // namespace jump
