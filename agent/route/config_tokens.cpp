#include "route/config_tokens.h"

#include <cstdlib>

namespace jump {

const std::string* ConfigTokens::value(char token) const {
  switch (token) {
    case 'd':
      return &home;
    case 'u':
      return &local_user;
    case 'i':
      return &uid;
    case 'h':
      return &host;
    case 'n':
      return &alias;
    case 'k':
      return &key_alias;
    case 'p':
      return &port;
    case 'r':
      return &user;
    case 'C':
      return &hash;
    case 'l':
      return &local_host;
    case 'L':
      return &local_short;
    case 'j':
      return &jump;
    default:
      return nullptr;
  }
}

Result<std::string> ConfigTokens::file(std::string_view text) const {
  std::string out;
  if (text.starts_with('~')) {
    std::string_view name = text.substr(1, text.find('/') - 1);
    auto other = homes.find(name);
    if (!name.empty() && other == homes.end())
      return Error{Errc::kInvalid, "there is no user " + std::string(name), {}};
    out = name.empty() ? home : other->second;
    text.remove_prefix(1 + name.size());
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) {
      auto end = text.find('}', i);
      if (end != std::string_view::npos) {
        std::string name(text.substr(i + 2, end - i - 2));
        const char* found = std::getenv(name.c_str());
        if (!found) return Error{Errc::kInvalid, "the agent's environment has no " + name, {}};
        out += found;
        i = end;
        continue;
      }
    }
    if (text[i] != '%' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char token = text[++i];
    if (token == '%') {
      out += '%';
    } else if (const std::string* known = value(token)) {
      out += *known;
    } else {
      out += {'%', token};
    }
  }
  return out;
}

std::string ConfigTokens::command(std::string_view text) const {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char token = text[++i];
    bool known = token == 'h' || token == 'n' || token == 'p' || token == 'r';
    if (token == '%') {
      out += '%';
    } else if (known) {
      out += *value(token);
    } else {
      out += {'%', token};
    }
  }
  return out;
}

}  // namespace jump
