// A TOML document as plain values that know where they stand in the file. toml_value.cpp is the only place
// that includes toml++, which is heavy; whoever reads settings out of a document sees this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config_error.h"

namespace jump {

struct TomlEntry;

struct TomlValue {
  enum class Kind { kString, kInteger, kFloat, kBoolean, kDate, kArray, kTable };

  Kind kind = Kind::kTable;
  ConfigPlace place;
  std::string text;                // kString
  std::int64_t integer = 0;        // kInteger
  bool boolean = false;            // kBoolean
  std::vector<TomlValue> items;    // kArray
  std::vector<TomlEntry> entries;  // kTable

  bool is(Kind wanted) const { return kind == wanted; }
  // "a string", "an array", …
  const char* describe() const;
};

struct TomlEntry {
  std::string key;
  ConfigPlace place;  // of the key
  TomlValue value;
};

// The document as one table, or the first thing in `text` that is not TOML. Nesting is bounded.
std::variant<TomlValue, ConfigError> parse_toml(std::string_view text);

}  // namespace jump
