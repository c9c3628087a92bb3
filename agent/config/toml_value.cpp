#include "config/toml_value.h"

#include "config/toml_guard.h"

// toml++'s parser asserts what malformed text can break ("a = [1, }"), and without assertions its behaviour
// is undefined then. So its assertions are always on here, and throw what parse_toml() catches.
namespace jump {
namespace {
struct TomlParserGaveUp {};
[[noreturn]] void give_up() { throw TomlParserGaveUp{}; }
}  // namespace
}  // namespace jump
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? void() : ::jump::give_up())
#define TOML_EXCEPTIONS 1
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 16  // of arrays and inline tables; our settings need two
#include <toml++/toml.h>

namespace jump {
namespace {

ConfigPlace place_of(const toml::source_region& source) { return {source.begin.line, source.begin.column}; }

TomlValue convert(const toml::node& node);

void convert_table(const toml::table& table, TomlValue& out) {
  out.kind = TomlValue::Kind::kTable;
  for (const auto& [key, value] : table) {
    out.entries.push_back({std::string(key.str()), place_of(key.source()), convert(value)});
  }
}

void convert_array(const toml::array& array, TomlValue& out) {
  out.kind = TomlValue::Kind::kArray;
  for (const toml::node& item : array) out.items.push_back(convert(item));
}

TomlValue convert(const toml::node& node) {
  TomlValue out;
  out.place = place_of(node.source());
  if (const toml::table* table = node.as_table()) {
    convert_table(*table, out);
  } else if (const toml::array* array = node.as_array()) {
    convert_array(*array, out);
  } else if (const auto* text = node.as_string()) {
    out.kind = TomlValue::Kind::kString;
    out.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.kind = TomlValue::Kind::kInteger;
    out.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    out.kind = TomlValue::Kind::kBoolean;
    out.boolean = boolean->get();
  } else {
    out.kind = node.is_floating_point() ? TomlValue::Kind::kFloat : TomlValue::Kind::kDate;
  }
  return out;
}

}  // namespace

const char* TomlValue::describe() const {
  switch (kind) {
    case Kind::kString:
      return "a string";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a number with a fraction";
    case Kind::kBoolean:
      return "a boolean";
    case Kind::kDate:
      return "a date or time";
    case Kind::kArray:
      return "an array";
    case Kind::kTable:
      return "a table";
  }
  return "something else";
}

std::variant<TomlValue, ConfigError> parse_toml(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // what some editors begin UTF-8 with
  if (auto hazard = toml_hazard(text)) return *std::move(hazard);
  try {
    return convert(toml::parse(text));
  } catch (const toml::parse_error& error) {
    return ConfigError{place_of(error.source()), "not TOML: " + std::string(error.description()),
                       "text stands in double quotes, as in via = \"bastion\""};
  } catch (const TomlParserGaveUp&) {
    return ConfigError{{}, "not TOML: a comma, bracket or brace stands where a value or a key belongs", {}};
  }
}

}  // namespace jump
