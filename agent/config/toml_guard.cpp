#include "config/toml_guard.h"

#include <algorithm>

namespace jump {
namespace {

// A dotted key makes a table for every dot.
constexpr std::size_t kMaxDots = 64;
constexpr const char* kAsciiOnly =
    "characters other than ASCII may stand in comments only; in a string, write \\u00e9 for such a one";

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

// A line that begins with '[' and has neither a name behind it nor a ']'.
bool nameless_header(std::string_view line) {
  skip_blanks(line);
  if (!line.starts_with('[')) return false;
  line.remove_prefix(1);
  skip_blanks(line);
  if (line.starts_with('[')) line.remove_prefix(1);
  skip_blanks(line);
  constexpr std::string_view kBegins = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-\"']";
  return line.empty() || kBegins.find(line.front()) == std::string_view::npos;
}

// The bytes of the quoted text that `text` begins with, both quotes included; at most all.
std::size_t quoted_size(std::string_view text) {
  const char quote = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == quote) return i + 1;
    if (quote == '"' && text[i] == '\\') ++i;
  }
  return text.size();
}

bool ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Null, or what is wrong with the line at `*column`.
const char* line_hazard(std::string_view line, std::size_t* column) {
  std::size_t dots = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    *column = i + 1;
    if (c == '#') return nullptr;
    if (!ascii(c)) return kAsciiOnly;
    if (c == '"' || c == '\'') {
      if (line.size() >= i + 3 && line[i + 1] == c && line[i + 2] == c)
        return "no setting is a multi-line string";
      const std::string_view quoted = line.substr(i, quoted_size(line.substr(i)));
      if (!std::all_of(quoted.begin(), quoted.end(), ascii)) return kAsciiOnly;
      i += quoted.size() - 1;
    } else if (c == '.') {
      if (++dots > kMaxDots) return "more than 64 dots in one key";
    } else if (std::string_view("=,[]{}").find(c) != std::string_view::npos) {
      dots = 0;
    }
  }
  return nullptr;
}

}  // namespace

std::optional<ConfigError> toml_hazard(std::string_view text) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (nameless_header(line)) {
      return ConfigError{{number, 1}, "not TOML: a table's header is [name] or [[name]]", {}};
    }
    std::size_t column = 1;
    if (const char* hazard = line_hazard(line, &column)) return ConfigError{{number, column}, hazard, {}};
  }
  return std::nullopt;
}

}  // namespace jump
