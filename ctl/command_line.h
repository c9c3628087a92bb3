// jumpctl's command line, read: which verb, which options, or what is wrong with it and what would be right.
// Options stand before or after the verb. The table of them is also what completion offers. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ctl/verb.h"

namespace jump::ctl {

// Options that only some verbs have: bits of Verb::own_options.
inline constexpr unsigned kVia = 1U << 0;
inline constexpr unsigned kName = 1U << 1;
inline constexpr unsigned kPrewarm = 1U << 2;
inline constexpr unsigned kPersist = 1U << 3;
inline constexpr unsigned kHold = 1U << 4;
inline constexpr unsigned kAll = 1U << 5;
inline constexpr unsigned kSession = 1U << 6;  // the short ones of exec and shell
inline constexpr unsigned kSubsystem = 1U << 7;
inline constexpr unsigned kFdpass = 1U << 8;
inline constexpr unsigned kInstall = 1U << 9;
// No option: what comes behind the first argument, and is no option, is a command's, options included.
inline constexpr unsigned kCommandFollows = 1U << 10;
inline constexpr unsigned kPath = 1U << 11;

struct OptionRow {
  std::string_view name;  // "--via"
  bool takes_value;
  unsigned own;  // which bit of Verb::own_options; 0: every verb has it
  std::string_view summary;
};
std::span<const OptionRow> option_rows();
const OptionRow* find_option(std::string_view name);  // nullptr when there is none

struct CommandLine {
  Options options;
  std::string verb;  // as it was typed; empty: none
  bool help = false;
  bool version = false;
  unsigned given = 0;  // bits of own options
};

// `words` without the program's name. Errors: kInvalid, with a hint; whether the verb exists and takes this
// is check_command_line()'s.
Result<CommandLine> parse_command_line(std::span<const std::string> words);
// Errors: kInvalid, with a hint.
Status check_command_line(const CommandLine& line);
Error unknown_verb(const std::string& name);

// What a command line in the way of `ssh -L … HOST` is here: "jumpctl forward --via HOST …", or several of
// these with " && " between them. Empty when it has none of -L, -R and -D.
std::string from_ssh_habit(std::span<const std::string> words);

}  // namespace jump::ctl
