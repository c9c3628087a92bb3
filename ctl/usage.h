// The verbs of jumpctl as its help and its usage errors know them: one table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ctl/verb.h"

namespace jump::ctl {

// What a verb's arguments are, for completion.
enum class Takes { kNothing, kHosts, kHostFirst, kConnectedHosts, kForwards, kVerbs, kShells };

struct Verb {
  std::string_view name;
  std::string_view arguments;  // "[--via HOST] [--name N] SPEC…"
  std::string_view summary;    // one line
  std::string_view help;       // what the summary leaves out; lines end in '\n'
  std::size_t min_arguments;
  std::size_t max_arguments;
  unsigned own_options;  // bits of command_line.h
  int (*run)(const Options& options);
  Takes takes = Takes::kNothing;
};

std::span<const Verb> verbs();
const Verb* find_verb(std::string_view name);  // nullptr when there is none
// The verb that a mistyped name is nearest to, empty when none is near.
std::string_view nearest_verb(std::string_view name);

std::string usage();  // a few lines, for usage errors
std::string help();   // of jumpctl
std::string help(const Verb& verb);

}  // namespace jump::ctl
