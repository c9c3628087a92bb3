// SettingsTable: reads the settings out of one table of the config file. Each is asked for by its name, once;
// what is wrong with it becomes an error with its place, and the setting keeps its default. A key that nobody
// asked for is an error too, as a setting that is misspelt must not be ignored.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/agent_config.h"
#include "config/toml_value.h"

namespace jump {

class SettingsTable {
 public:
  // `name`: "timeouts" for messages; empty for the file itself.
  SettingsTable(const TomlValue& table, std::string name, ConfigErrors& errors)
      : table_(table), name_(std::move(name)), errors_(errors) {}
  SettingsTable(const SettingsTable&) = delete;
  SettingsTable& operator=(const SettingsTable&) = delete;

  // Null when there is none.
  const TomlEntry* find(std::string_view name);

  // Each: true when it is there and good.
  bool text(std::string_view name, std::string& out);
  bool host(std::string_view name, std::string& out);
  bool boolean(std::string_view name, bool& out);
  bool count(std::string_view name, std::size_t& out, std::size_t least, std::size_t most);
  bool duration(std::string_view name, Duration& out, Duration least, Duration most);
  bool size(std::string_view name, std::size_t& out, std::size_t least, std::size_t most);
  // A string, or an array of them.
  std::vector<const TomlValue*> texts(std::string_view name);
  // The tables of [[name]]; the one table of [name].
  std::vector<const TomlValue*> tables(std::string_view name);
  const TomlValue* table(std::string_view name);

  // It must be there.
  void require(std::string_view name, const char* example);
  // After all have been asked for.
  void finish();

  void fail(const ConfigPlace& place, std::string message, std::string hint = {});
  // `error` is about the setting `name`.
  void fail(const ConfigPlace& place, std::string_view name, const Error& error);
  const ConfigPlace& place() const { return table_.place; }

 private:
  std::string full(std::string_view name) const;
  bool wrong_kind(const TomlEntry& entry, const char* expected, std::string hint = {});
  const TomlEntry* find(std::string_view name, TomlValue::Kind kind, const char* expected);
  bool out_of_range(const TomlEntry& entry, const std::string& value, const std::string& least,
                    const std::string& most);

  const TomlValue& table_;
  const std::string name_;
  ConfigErrors& errors_;
  std::vector<std::string_view> known_;
};

}  // namespace jump
