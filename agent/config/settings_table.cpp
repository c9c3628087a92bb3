#include "config/settings_table.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/nearest_name.h"
#include "base/printable.h"
#include "config/quantity.h"
#include "route/host_name.h"

namespace jump {
namespace {

constexpr std::size_t kShown = 64;  // of a key that could be anything

}  // namespace

std::string SettingsTable::full(std::string_view name) const {
  return name_.empty() ? std::string(name) : fmt::format("{}.{}", name_, name);
}

const TomlEntry* SettingsTable::find(std::string_view name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.push_back(name);
  const auto found = std::find_if(table_.entries.begin(), table_.entries.end(),
                                  [name](const TomlEntry& entry) { return entry.key == name; });
  return found == table_.entries.end() ? nullptr : &*found;
}

const TomlEntry* SettingsTable::find(std::string_view name, TomlValue::Kind kind, const char* expected) {
  const TomlEntry* entry = find(name);
  if (!entry || entry->value.is(kind)) return entry;
  wrong_kind(*entry, expected);
  return nullptr;
}

bool SettingsTable::text(std::string_view name, std::string& out) {
  const TomlEntry* entry = find(name, TomlValue::Kind::kString, "a string");
  if (!entry) return false;
  out = entry->value.text;
  return true;
}

bool SettingsTable::host(std::string_view name, std::string& out) {
  const TomlEntry* entry = find(name, TomlValue::Kind::kString, "a host's name, a string");
  if (!entry) return false;
  if (auto parsed = HostName::parse(entry->value.text); !parsed) {
    fail(entry->value.place, name, parsed.error());
    return false;
  }
  out = entry->value.text;
  return true;
}

bool SettingsTable::boolean(std::string_view name, bool& out) {
  const TomlEntry* entry = find(name, TomlValue::Kind::kBoolean, "true or false");
  if (entry) out = entry->value.boolean;
  return entry != nullptr;
}

bool SettingsTable::count(std::string_view name, std::size_t& out, std::size_t least, std::size_t most) {
  const TomlEntry* entry = find(name, TomlValue::Kind::kInteger, "an integer");
  if (!entry) return false;
  const std::int64_t value = entry->value.integer;
  if (std::cmp_less(value, least) || std::cmp_greater(value, most)) {
    return out_of_range(*entry, std::to_string(value), std::to_string(least), std::to_string(most));
  }
  out = static_cast<std::size_t>(value);
  return true;
}

bool SettingsTable::duration(std::string_view name, Duration& out, Duration least, Duration most) {
  const TomlEntry* entry = find(name, TomlValue::Kind::kString, "a duration such as \"10s\"");
  if (!entry) return false;
  const auto value = parse_duration(entry->value.text);
  if (!value) return fail(entry->value.place, name, value.error()), false;
  if (*value < least || *value > most) {
    return out_of_range(*entry, entry->value.text, duration_text(least), duration_text(most));
  }
  out = *value;
  return true;
}

bool SettingsTable::size(std::string_view name, std::size_t& out, std::size_t least, std::size_t most) {
  const TomlEntry* entry = find(name, TomlValue::Kind::kString, "a size such as \"512MiB\"");
  if (!entry) return false;
  const auto value = parse_size(entry->value.text);
  if (!value) return fail(entry->value.place, name, value.error()), false;
  if (*value < least || *value > most) {
    return out_of_range(*entry, entry->value.text, size_text(least), size_text(most));
  }
  out = *value;
  return true;
}

std::vector<const TomlValue*> SettingsTable::texts(std::string_view name) {
  std::vector<const TomlValue*> found;
  const TomlEntry* entry = find(name);
  if (!entry) return found;
  if (entry->value.is(TomlValue::Kind::kString)) return {&entry->value};
  if (!entry->value.is(TomlValue::Kind::kArray)) return wrong_kind(*entry, "an array of strings"), found;
  for (const TomlValue& item : entry->value.items) {
    if (item.is(TomlValue::Kind::kString)) {
      found.push_back(&item);
    } else {
      fail(item.place, fmt::format("{}: expected strings, found {}", full(name), item.describe()));
    }
  }
  return found;
}

std::vector<const TomlValue*> SettingsTable::tables(std::string_view name) {
  std::vector<const TomlValue*> found;
  const TomlEntry* entry = find(name);
  if (!entry) return found;
  const auto& items = entry->value.items;
  const bool good = entry->value.is(TomlValue::Kind::kArray) &&
                    std::all_of(items.begin(), items.end(),
                                [](const TomlValue& item) { return item.is(TomlValue::Kind::kTable); });
  if (!good) return wrong_kind(*entry, "tables", fmt::format("write [[{}]], with two brackets", name)), found;
  for (const TomlValue& item : items) found.push_back(&item);
  return found;
}

const TomlValue* SettingsTable::table(std::string_view name) {
  const TomlEntry* entry = find(name);
  if (!entry) return nullptr;
  if (entry->value.is(TomlValue::Kind::kTable)) return &entry->value;
  wrong_kind(*entry, "a table", fmt::format("write [{}]", name));
  return nullptr;
}

void SettingsTable::require(std::string_view name, const char* example) {
  const bool there = std::any_of(table_.entries.begin(), table_.entries.end(),
                                 [name](const TomlEntry& entry) { return entry.key == name; });
  if (!there) fail(table_.place, fmt::format("{} is missing", full(name)), fmt::format("as in {}", example));
}

void SettingsTable::finish() {
  for (const TomlEntry& entry : table_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const std::string_view near = nearest_name(entry.key, known_);
    const std::string hint = near.empty() ? fmt::format("the keys here are {}", fmt::join(known_, ", "))
                                          : fmt::format("did you mean '{}'?", near);
    const std::string where = name_.empty() ? "" : " in " + name_;
    fail(entry.place, fmt::format("unknown key '{}'{}", printable(entry.key, kShown), where), hint);
  }
}

void SettingsTable::fail(const ConfigPlace& place, std::string message, std::string hint) {
  errors_.push_back({place, std::move(message), std::move(hint)});
}

void SettingsTable::fail(const ConfigPlace& place, std::string_view name, const Error& error) {
  fail(place, fmt::format("{}: {}", full(name), error.message), error.hint);
}

bool SettingsTable::wrong_kind(const TomlEntry& entry, const char* expected, std::string hint) {
  fail(entry.value.place,
       fmt::format("{}: expected {}, found {}", full(entry.key), expected, entry.value.describe()),
       std::move(hint));
  return false;
}

bool SettingsTable::out_of_range(const TomlEntry& entry, const std::string& value, const std::string& least,
                                 const std::string& most) {
  fail(entry.value.place, fmt::format("{}: {} is not within {} to {}", full(entry.key), value, least, most));
  return false;
}

}  // namespace jump
