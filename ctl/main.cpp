// jumpctl: reads the command line, and runs one verb.
#include <fmt/core.h>

#include <algorithm>

#include "ctl/command_line.h"
#include "ctl/completion.h"
#include "ctl/output.h"
#include "ctl/usage.h"

namespace jump::ctl {
namespace {

using Words = std::vector<std::string>;

int fail_usage(const Options& options, const Error& error) {
  return fail(options, error, kExitUsage, proto::kInvalidParams);
}

int run_help(const CommandLine& line, const std::string& about) {
  const Verb* verb = find_verb(about);
  if (verb == nullptr && !about.empty() && about != "help")
    return fail_usage(line.options, unknown_verb(about));
  write_out(verb == nullptr ? help() : help(*verb));
  return finish_output(line.options, kExitDone);
}

int run(const Words& words) {
  // Not a verb for people: the shells' completion asks it (contrib/completions).
  if (!words.empty() && words.front() == "complete") return complete(std::span(words).subspan(1));
  Result<CommandLine> parsed = parse_command_line(words);
  if (!parsed.ok()) {
    Options options;
    options.json = std::find(words.begin(), words.end(), "--json") != words.end();
    return fail_usage(options, parsed.error());
  }
  const CommandLine& line = *parsed;
  if (line.version) {
    write_out(fmt::format("jumpctl {}\n", JUMPAGENT_VERSION));
    return finish_output(line.options, kExitDone);
  }
  if (line.verb == "help") {
    return run_help(line, line.options.arguments.empty() ? std::string() : line.options.arguments.front());
  }
  if (line.help) return run_help(line, line.verb);
  if (line.verb.empty()) {
    write_err(usage());
    return kExitUsage;
  }
  if (Status status = check_command_line(line); !status.ok()) return fail_usage(line.options, status.error());
  return find_verb(line.verb)->run(line.options);
}

}  // namespace
}  // namespace jump::ctl

int main(int argc, char** argv) {
  jump::ctl::occupy_standard_descriptors();
  return jump::ctl::run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}
