// jumpctl: reads the command line, and runs one verb.
#define CXXOPTS_NO_REGEX true          // <regex> would be half of the program
#define CXXOPTS_VECTOR_DELIMITER '\0'  // an argument with a comma is one argument
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cxxopts.hpp>
#include <optional>

#include "ctl/output.h"
#include "ctl/usage.h"

namespace jump::ctl {
namespace {

struct CommandLine {
  Options options;
  std::string verb;
  bool help = false;
  bool version = false;
  bool named = false;  // --via or --name was given
};

Error usage_error(std::string message) {
  return Error{Errc::kInvalid, std::move(message), "try 'jumpctl help'"};
}

int fail_usage(const Options& options, const Error& error) {
  return fail(options, error, kExitUsage, proto::kInvalidParams);
}

Result<Duration> parse_timeout(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool number = !text.empty() && *end == '\0';
  if (number && value > 0 && value <= proto::kMaxTimeout) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
  }
  return usage_error(fmt::format("--timeout takes seconds, more than 0 and at most {}", proto::kMaxTimeout));
}

Result<std::uint64_t> parse_count(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed == std::errc() && end == text.data() + text.size() && !text.empty()) return value;
  return usage_error("--prewarm takes a number of channels");
}

cxxopts::Options description() {
  cxxopts::Options known("jumpctl");
  const auto text = [] { return cxxopts::value<std::string>(); };
  known.add_options()("socket", "", text())("json", "")("no-input", "")("timeout", "", text())("h,help", "")("version", "")(
      "via", "", text())("name", "", text())("prewarm", "", text())("words", "", cxxopts::value<std::vector<std::string>>());
  known.parse_positional({"words"});
  known.positional_help("");
  return known;
}

Result<CommandLine> interpret(const cxxopts::ParseResult& parsed) {
  CommandLine line;
  line.help = parsed.count("help") > 0;
  line.version = parsed.count("version") > 0;
  line.named = parsed.count("via") + parsed.count("name") + parsed.count("prewarm") > 0;
  line.options.json = parsed.count("json") > 0;
  line.options.no_input = parsed.count("no-input") > 0;
  for (const auto& [name, out] :
       {std::pair{"socket", &line.options.socket}, std::pair{"via", &line.options.via},
        std::pair{"name", &line.options.name}}) {
    if (parsed.count(name) == 0) continue;
    *out = parsed[name].as<std::string>();
    if (out->empty()) return usage_error(fmt::format("--{} takes a value", name));
  }
  if (parsed.count("timeout") > 0) {
    Result<Duration> timeout = parse_timeout(parsed["timeout"].as<std::string>());
    if (!timeout.ok()) return timeout.error();
    line.options.timeout = *timeout;
  }
  if (parsed.count("prewarm") > 0) {
    Result<std::uint64_t> count = parse_count(parsed["prewarm"].as<std::string>());
    if (!count.ok()) return count.error();
    line.options.prewarm = *count;
  }
  if (parsed.count("words") > 0) {
    auto words = parsed["words"].as<std::vector<std::string>>();
    line.verb = words.front();
    line.options.arguments.assign(words.begin() + 1, words.end());
  }
  return line;
}

// cxxopts throws; nothing above this does.
Result<CommandLine> parse(int argc, char** argv) {
  try {
    cxxopts::Options known = description();
    return interpret(known.parse(argc, argv));
  } catch (const cxxopts::exceptions::exception& e) {
    return usage_error(e.what());
  }
}

Error unknown_verb(const std::string& name) {
  const std::string_view near = nearest_verb(name);
  Error error = usage_error(fmt::format("'{}' is not a verb of jumpctl", name));
  if (!near.empty()) error.hint = fmt::format("did you mean '{}'?", near);
  return error;
}

int run_help(const CommandLine& line, const std::string& about) {
  const Verb* verb = find_verb(about);
  if (verb == nullptr && !about.empty() && about != "help")
    return fail_usage(line.options, unknown_verb(about));
  write_out(verb == nullptr ? help() : help(*verb));
  return finish_output(line.options, kExitDone);
}

std::optional<Error> check(const Verb& verb, const CommandLine& line) {
  const auto wrong = [&verb](std::string_view what) {
    return Error{Errc::kInvalid, fmt::format("{} {}", verb.name, what),
                 fmt::format("try 'jumpctl help {}'", verb.name)};
  };
  const std::size_t count = line.options.arguments.size();
  if (line.named && !verb.takes_via) return wrong("takes neither --via nor --name nor --prewarm");
  if (count > verb.max_arguments)
    return wrong(fmt::format("takes no argument: '{}'", line.options.arguments.front()));
  if (count < verb.min_arguments)
    return wrong(fmt::format("takes at least one argument: {}", verb.arguments));
  if (!line.options.name.empty() && count > 1) return wrong("gives a --name to one SPEC only");
  return std::nullopt;
}

bool wants_json(int argc, char** argv) {
  return std::find(argv + 1, argv + argc, std::string_view("--json")) != argv + argc;
}

int run(int argc, char** argv) {
  Result<CommandLine> parsed = parse(argc, argv);
  if (!parsed.ok()) {
    Options options;
    options.json = wants_json(argc, argv);
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
  const Verb* verb = find_verb(line.verb);
  if (verb == nullptr) return fail_usage(line.options, unknown_verb(line.verb));
  if (auto error = check(*verb, line)) return fail_usage(line.options, *error);
  return verb->run(line.options);
}

}  // namespace
}  // namespace jump::ctl

int main(int argc, char** argv) {
  jump::ctl::occupy_standard_descriptors();
  return jump::ctl::run(argc, argv);
}
