#include "config/config_error.h"

#include <fmt/core.h>

namespace jump {

std::string ConfigError::to_string(const std::string& file) const {
  std::string text = file;
  if (place.line > 0) text += fmt::format(":{}:{}", place.line, place.column);
  text += ": " + message;
  if (!hint.empty()) text += "; " + hint;
  return text;
}

Error summary(const std::string& file, const std::vector<ConfigError>& errors) {
  Error all{errors.front().code, {}, {}};
  for (const ConfigError& each : errors) {
    if (!all.message.empty()) all.message += '\n';
    all.message += each.to_string(file);
  }
  return all;
}

}  // namespace jump
