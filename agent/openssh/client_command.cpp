#include "openssh/client_command.h"

#include <utility>

namespace jump {
namespace {

// ssh(1): options that are followed by a value, in the same word or in the next one.
constexpr std::string_view kWithValue = "BbcDEeFIiJLlmOoPpQRSWw";

std::string_view next_word(std::string_view& rest) {
  const std::size_t end = rest.find('\0');
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return word;
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The program's name; it may be run by the dynamic loader, which has options of its own (ld.so(8)).
std::string_view take_program(std::string_view& arguments) {
  std::string_view word = next_word(arguments);
  if (!file_name(word).starts_with("ld-") && !file_name(word).starts_with("ld.")) return file_name(word);
  while ((word = next_word(arguments)).starts_with("--")) {
    if (word != "--inhibit-cache") next_word(arguments);  // those that run a program and have no value
  }
  return file_name(word);
}

}  // namespace

bool wants_session(std::string_view arguments) {
  if (!take_program(arguments).starts_with("ssh")) return false;
  bool host = false;  // ssh takes options on both sides of it, and behind the second plain word no more
  while (!arguments.empty()) {
    const std::string_view word = next_word(arguments);
    if (word == "--") return true;
    if (word.size() < 2 || word.front() != '-') {
      if (std::exchange(host, true)) return true;
      continue;
    }
    for (std::size_t at = 1; at < word.size(); ++at) {
      if (word[at] == 'O' || word[at] == 'W') return false;
      if (kWithValue.find(word[at]) == std::string_view::npos) continue;
      if (at + 1 == word.size()) next_word(arguments);
      break;
    }
  }
  return host;
}

}  // namespace jump
