// Text that a server sent, made fit for a message or a log line: printable ASCII only, and not much of it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace jump {

inline std::string printable(std::string_view text, std::size_t limit) {
  std::string out(text.substr(0, limit));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (text.size() > limit) out += "...";
  return out;
}

}  // namespace jump
