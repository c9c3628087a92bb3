#include "route/own_proxy.h"

#include <utility>

namespace jump {
namespace {

constexpr std::string_view kShellSyntax = "|&;<>()$`*?[]#~{}!\n";

// Behind a quote that has just been read; `at` is behind the closing one afterwards. False: it means more
// than what it says, or is not closed.
bool read_quoted(std::string_view text, char quote, std::size_t& at, std::string& word) {
  while (at < text.size()) {
    char c = text[at++];
    if (c == quote) return true;
    if (quote == '"' && (c == '$' || c == '`')) return false;
    const bool escapes = quote == '"' && c == '\\' && at < text.size() &&
                         std::string_view("\"\\$`").find(text[at]) != std::string_view::npos;
    if (escapes) c = text[at++];
    word += c;
  }
  return false;
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Options of jumpctl that say nothing about the way; those with a value take the next word with them.
bool skip_option(const std::vector<std::string>& words, std::size_t& at) {
  for (std::string_view flag : {"--fdpass", "--no-input", "--json"}) {
    if (words[at] == flag) return true;
  }
  for (std::string_view option : {"--socket", "--timeout"}) {
    if (words[at].starts_with(std::string(option) + "=")) return true;
    if (words[at] == option) return ++at < words.size();
  }
  return false;
}

}  // namespace

std::optional<std::vector<std::string>> plain_shell_words(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool begun = false;
  for (std::size_t at = 0; at < command.size();) {
    const char c = command[at++];
    if (c == ' ' || c == '\t') {
      if (begun) words.push_back(std::exchange(word, {}));
      begun = false;
      continue;
    }
    begun = true;
    if (c == '\'' || c == '"') {
      if (!read_quoted(command, c, at, word)) return std::nullopt;
    } else if (c == '\\') {
      if (at == command.size()) return std::nullopt;
      word += command[at++];
    } else if (kShellSyntax.find(c) != std::string_view::npos) {
      return std::nullopt;
    } else {
      word += c;
    }
  }
  if (begun) words.push_back(std::move(word));
  return words;
}

std::optional<OwnProxy> own_proxy(std::string_view command) {
  const auto words = plain_shell_words(command);
  if (!words) return std::nullopt;
  std::size_t at = !words->empty() && words->front() == "exec" ? 1 : 0;
  if (at >= words->size() || file_name(words->at(at)) != "jumpctl") return std::nullopt;
  OwnProxy proxy;
  std::vector<std::string> arguments;
  for (++at; at < words->size(); ++at) {
    const std::string& word = words->at(at);
    if (word.starts_with("--via=")) {
      proxy.via = word.substr(6);
    } else if (word == "--via") {
      if (++at == words->size()) return std::nullopt;
      proxy.via = words->at(at);
    } else if (word.starts_with('-')) {
      if (!skip_option(*words, at)) return std::nullopt;
    } else {
      arguments.push_back(word);
    }
  }
  if (arguments.size() != 3 || arguments[0] != "proxy") return std::nullopt;
  proxy.host = arguments[1];
  proxy.port = arguments[2];
  return proxy;
}

}  // namespace jump
