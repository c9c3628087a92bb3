// What is wrong with the config file, and where. A value; a file has as many of them as it has mistakes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace jump {

// In the file; both count from 1. Line 0: the file as a whole.
struct ConfigPlace {
  std::size_t line = 0;
  std::size_t column = 0;
  auto operator<=>(const ConfigPlace&) const = default;
};

struct ConfigError {
  ConfigPlace place;
  std::string message;
  std::string hint;  // what would be right; may be empty
  Errc code = Errc::kInvalid;

  // "FILE:LINE:COLUMN: MESSAGE; HINT"
  std::string to_string(const std::string& file) const;
};

// All of them as one error, a line of text for each. `errors` is not empty.
Error summary(const std::string& file, const std::vector<ConfigError>& errors);

}  // namespace jump
