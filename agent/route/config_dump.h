// ConfigDump: what `ssh -G` prints, option by option: a name in small letters, a space, the value; an option
// that can be given several times has a line for each. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace jump {

class ConfigDump {
 public:
  ConfigDump() = default;
  explicit ConfigDump(std::string_view text);

  // The first value; empty when there is none.
  std::string one(std::string_view name) const;
  const std::vector<std::string>& all(std::string_view name) const;
  // A value that stands for "not set" ("none") reads as empty.
  std::string some(std::string_view name) const;
  // ssh prints "yes", "true" and, for options with more answers, other words; `otherwise` when it is not
  // there.
  bool flag(std::string_view name, bool otherwise) const;
  // What is no number within the bounds reads as `otherwise`.
  long number(std::string_view name, long otherwise, long least, long most) const;
  bool empty() const { return options_.empty(); }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
};

// "a,b,,c" → a b c; with ' ' the same for spaces.
std::vector<std::string> split_list(std::string_view text, char separator);
// Lists of files are printed unquoted: a piece that does not begin as a path goes on the one before it.
std::vector<std::string> split_files(std::string_view list);

}  // namespace jump
