#include "proto/answers.h"

#include <cassert>
#include <charconv>

namespace jump::proto {
namespace {

constexpr std::string_view kKey = "answers";
constexpr std::string_view kSpace = " \t\r\n";

// Index of the quote that ends the string whose first character is at `begin`; npos: none.
std::size_t string_end(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i;
    }
  }
  return std::string_view::npos;
}

void append_utf8(Bytes& out, std::uint32_t c) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<std::uint8_t>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | (c >> 6));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3f));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3f));
    put(0x80 | ((c >> 6) & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

// The inside of a JSON string (RFC 8259, section 7) to bytes. Never longer than what it is made from.
class Unescaper {
 public:
  explicit Unescaper(std::string_view raw) : raw_(raw) { out_.reserve(raw.size()); }
  ~Unescaper() { Secret wiped(std::move(out_)); }

  std::optional<Secret> run() {
    while (!raw_.empty()) {
      const char c = raw_.front();
      raw_.remove_prefix(1);
      if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
      if (c != '\\') {
        out_.push_back(static_cast<std::uint8_t>(c));
      } else if (!escape()) {
        return std::nullopt;
      }
    }
    return Secret(std::move(out_));
  }

 private:
  bool escape() {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (raw_.empty()) return false;
    const char name = raw_.front();
    raw_.remove_prefix(1);
    if (name == 'u') return code_point();
    const std::size_t which = kNames.find(name);
    if (which == std::string_view::npos) return false;
    out_.push_back(static_cast<std::uint8_t>(kMeanings[which]));
    return true;
  }

  bool code_point() {
    std::uint32_t first = 0, second = 0;
    if (!hex4(&first) || (first >= 0xdc00 && first < 0xe000)) return false;
    if (first >= 0xd800 && first < 0xdc00) {
      if (!raw_.starts_with("\\u")) return false;
      raw_.remove_prefix(2);
      if (!hex4(&second) || second < 0xdc00 || second >= 0xe000) return false;
      first = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    append_utf8(out_, first);
    return true;
  }

  bool hex4(std::uint32_t* out) {
    if (raw_.size() < 4) return false;
    const auto [end, error] = std::from_chars(raw_.data(), raw_.data() + 4, *out, 16);
    if (error != std::errc() || end != raw_.data() + 4) return false;
    raw_.remove_prefix(4);
    return true;
  }

  std::string_view raw_;
  Bytes out_;
};

// Copies a line, less the strings in the value of each key "answers".
class Lifter {
 public:
  explicit Lifter(std::string_view line) : rest_(line) { out_.line.reserve(line.size()); }

  std::optional<Lifted> run() {
    while (!rest_.empty()) {
      if (rest_.front() != '"') {
        copy(1);
        continue;
      }
      const std::size_t end = string_end(rest_, 1);
      if (end == std::string_view::npos) {
        copy(rest_.size());
        break;
      }
      const bool key = rest_.substr(1, end - 1) == kKey;
      copy(end + 1);
      copy_space();
      if (!key || !rest_.starts_with(':')) continue;
      found_ = true;
      copy(1);
      lift_value();
    }
    if (!found_) return std::nullopt;
    return std::move(out_);
  }

 private:
  void copy(std::size_t count) {
    out_.line.append(rest_.substr(0, count));
    rest_.remove_prefix(count);
  }
  void copy_space() {
    const std::size_t count = rest_.find_first_not_of(kSpace);
    copy(count == std::string_view::npos ? rest_.size() : count);
  }

  // One value, however deep; of the strings in it, those of the array itself are answers.
  void lift_value() {
    int depth = 0;
    copy_space();
    do {
      if (rest_.empty()) return;
      const char c = rest_.front();
      const bool opens = c == '[' || c == '{', closes = c == ']' || c == '}';
      if (c == '"') {
        lift_string(depth == 1);
      } else if (depth == 0 && !opens) {
        return;  // a number or the like
      } else {
        depth += opens ? 1 : closes ? -1 : 0;
        copy(1);
      }
    } while (depth > 0);
  }

  void lift_string(bool is_answer) {
    const std::size_t end = string_end(rest_, 1);
    const bool whole = end != std::string_view::npos;
    std::optional<Secret> answer = whole ? Unescaper(rest_.substr(1, end - 1)).run() : std::nullopt;
    // What is no string must not become one.
    out_.line.append(answer ? "\"\"" : "?");
    if (answer && is_answer && out_.answers.size() < kMaxAnswers) out_.answers.push_back(*std::move(answer));
    rest_.remove_prefix(whole ? end + 1 : rest_.size());
  }

  std::string_view rest_;
  Lifted out_;
  bool found_ = false;
};

constexpr std::size_t kLongestEscape = 6;  // \u00XX

void append_escaped(Bytes& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto put = [&out](char c) { out.push_back(static_cast<std::uint8_t>(c)); };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      for (const char each : std::string_view("\\u00")) put(each);
      put(kHex[byte >> 4]);
      put(kHex[byte & 15]);
      continue;
    }
    if (c == '"' || c == '\\') put('\\');
    put(c);
  }
}

void append_text(Bytes& out, std::string_view text) {
  const ByteView bytes = as_bytes(text);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

std::optional<Lifted> lift_answers(std::string_view line) {
  if (line.find(kKey) == std::string_view::npos) return std::nullopt;  // nearly every line
  return Lifter(line).run();
}

Secret insert_answers(std::string_view line, std::span<const Secret> answers) {
  constexpr std::string_view kOpen = "\"answers\":[";
  const std::size_t open = line.find(kOpen);
  assert(open != std::string_view::npos);
  const std::size_t from = open + kOpen.size(), to = line.find(']', from);
  std::size_t room = line.size();
  for (const Secret& answer : answers) room += kLongestEscape * answer.text().size() + 3;
  Bytes out;
  out.reserve(room);  // it must not grow: that would leave a copy behind
  append_text(out, line.substr(0, from));
  for (const Secret& answer : answers) {
    append_text(out, &answer == answers.data() ? "\"" : ",\"");
    append_escaped(out, answer.text());
    append_text(out, "\"");
  }
  append_text(out, line.substr(to));
  return Secret(std::move(out));
}

}  // namespace jump::proto
