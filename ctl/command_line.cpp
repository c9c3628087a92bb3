#include "ctl/command_line.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/nearest_name.h"
#include "base/shell_quoted.h"
#include "ctl/usage.h"

namespace jump::ctl {
namespace {

constexpr auto kOptions = std::to_array<OptionRow>({
    {"--socket", true, 0, "the agent's socket"},
    {"--json", false, 0, "print what the agent answers, as JSON"},
    {"--no-input", false, 0, "never ask for passwords and the like"},
    {"--timeout", true, 0, "seconds to wait for the agent"},
    {"--help", false, 0, "explain jumpctl, or the verb"},
    {"--version", false, 0, "print the version"},
    {"--via", true, kVia, "the host that carries the forwards"},
    {"--name", true, kName, "a name of your own"},
    {"--prewarm", true, kPrewarm, "connections to the target kept open in advance"},
    {"--persist", false, kPersist, "back after a restart of the agent"},
    {"--hold", false, kHold, "only as long as this command runs"},
    {"--all", false, kAll, "every forward that is listed"},
    {"-t", false, kSession, "ask for a terminal; -tt: even without one here"},
    {"-T", false, kSession, "ask for no terminal"},
    {"-A", false, kSession, "let the host use this shell's ssh-agent"},
    {"-a", false, kSession, "do not"},
    {"-n", false, kSession, "no input"},
    {"-s", false, kSubsystem, "the command is a subsystem's name"},
    {"--fdpass", false, kFdpass, "for ProxyUseFdpass: pass the connection on, and end"},
    {"--path", true, kPath, "where else"},
    {"--install", false, kInstall, "write it into ~/.ssh/config"},
    {"--mux", false, kInstall, "hosts that the agent itself is connected to"},
});

// Of ssh(1), those that take an argument.
constexpr std::string_view kSshWithArgument = "BbcDEeFIiJLlmOoPpQRSWw";
// Of these, what says how to reach a host.
constexpr std::string_view kSshOfHosts = "bcFIiJlmop";

Error usage_error(std::string message, std::string hint = "try 'jumpctl help'") {
  return Error{Errc::kInvalid, std::move(message), std::move(hint)};
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

Result<std::uint64_t> parse_prewarm(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = failed == std::errc() && end == text.data() + text.size() && !text.empty();
  if (number && value <= proto::kMaxPrewarm) return value;
  return usage_error(fmt::format("--prewarm takes a number of channels, at most {}", proto::kMaxPrewarm));
}

Status set_flag(CommandLine& line, std::string_view name) {
  if (name == "--json") line.options.json = true;
  if (name == "--no-input") line.options.no_input = true;
  if (name == "--help") line.help = true;
  if (name == "--version") line.version = true;
  if (name == "--persist") line.options.persist = true;
  if (name == "--hold") line.options.hold = true;
  if (name == "--all") line.options.all = true;
  if (name == "-t" && line.options.tty != Options::Tty::kForce)
    line.options.tty = line.options.tty == Options::Tty::kYes ? Options::Tty::kForce : Options::Tty::kYes;
  if (name == "-T") line.options.tty = Options::Tty::kNo;
  if (name == "-A" || name == "-a") line.options.forward_agent = name == "-A";
  if (name == "-n") line.options.no_stdin = true;
  if (name == "-s") line.options.subsystem = true;
  if (name == "--fdpass") line.options.fdpass = true;
  if (name == "--install") line.options.install = true;
  if (name == "--mux") line.options.mux = true;
  return {};
}

Status set_value(CommandLine& line, std::string_view name, const std::string& value) {
  if (value.empty()) return usage_error(fmt::format("{} takes a value", name));
  if (name == "--socket") line.options.socket = value;
  if (name == "--via") line.options.via = value;
  if (name == "--name") line.options.name = value;
  if (name == "--path") line.options.path = value;
  if (name == "--timeout") {
    Result<Duration> timeout = parse_timeout(value);
    if (!timeout.ok()) return timeout.error();
    line.options.timeout = *timeout;
  }
  if (name == "--prewarm") {
    Result<std::uint64_t> count = parse_prewarm(value);
    if (!count.ok()) return count.error();
    line.options.prewarm = *count;
  }
  return {};
}

Error unknown_long_option(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OptionRow& row : kOptions) {
    if (row.name.starts_with("--")) names.push_back(row.name.substr(2));
  }
  const std::string_view near = nearest_name(name.substr(2), names);
  return usage_error(fmt::format("there is no option '{}'", name),
                     near.empty() ? "try 'jumpctl help'" : fmt::format("did you mean '--{}'?", near));
}

Error unknown_short_option(std::string_view word, std::span<const std::string> words) {
  Error error = usage_error(fmt::format("there is no option '{}'", word.substr(0, 2)));
  const char letter = word[1];
  if (const std::string here = from_ssh_habit(words); !here.empty()) {
    error.hint = "here it is: " + here;
  } else if (kSshOfHosts.find(letter) != std::string_view::npos) {
    error.hint = "ssh_config says how to reach a host, and the agent reads it";
  } else if (letter == 'N' || letter == 'f') {
    error.hint = "leave it out: forwards stay open without a shell or a terminal";
  }
  return error;
}

// Letters in a row, none of which takes a value: those of the verb that stands before them.
Status read_letters(CommandLine& line, std::span<const std::string> words, const std::string& word) {
  const Verb* verb = find_verb(line.verb);
  for (const char letter : word.substr(1)) {
    const OptionRow* row = find_option(std::string{'-', letter});
    if (row == nullptr || verb == nullptr || (row->own & verb->own_options) == 0)
      return unknown_short_option(word, words);
    line.given |= row->own;
    if (Status status = set_flag(line, row->name); !status.ok()) return status;
  }
  return {};
}

// One option, words[*at], and its value, which may be the next word.
Status read_option(CommandLine& line, std::span<const std::string> words, std::size_t* at) {
  const std::string& word = words[*at];
  if (word == "-h") return set_flag(line, "--help");
  if (!word.starts_with("--")) return read_letters(line, words, word);
  const std::size_t equals = word.find('=');
  const OptionRow* row = find_option(std::string_view(word).substr(0, equals));
  if (row == nullptr) return unknown_long_option(std::string_view(word).substr(0, equals));
  line.given |= row->own;
  const bool attached = equals != std::string::npos;
  if (!row->takes_value)
    return attached ? usage_error(fmt::format("{} takes no value", row->name)) : set_flag(line, row->name);
  if (attached) return set_value(line, row->name, word.substr(equals + 1));
  // "--via --name x" has forgotten the host.
  const bool missing = *at + 1 == words.size() || find_option(words[*at + 1]) != nullptr;
  if (missing) return set_value(line, row->name, {});
  return set_value(line, row->name, words[++*at]);
}

// "--via", "--name and --hold": options that were given and that the verb has not.
std::string names_of(unsigned bits) {
  std::vector<std::string_view> names;
  for (const OptionRow& row : kOptions) {
    if ((row.own & bits) != 0) names.push_back(row.name);
  }
  return fmt::format("{}", fmt::join(names, " and no "));
}

// What people call things elsewhere.
std::string_view other_word_for(std::string_view name) {
  struct Word {
    std::string_view typed, meant;
  };
  constexpr auto kWords = std::to_array<Word>({{"ls", "list"},
                                               {"ps", "list"},
                                               {"rm", "close"},
                                               {"delete", "close"},
                                               {"stop", "close"},
                                               {"kill", "close"},
                                               {"cancel", "close"},
                                               {"open", "forward"},
                                               {"add", "forward"},
                                               {"fwd", "forward"},
                                               {"local", "forward"},
                                               {"tunnel", "forward"},
                                               {"remote", "reverse"},
                                               {"dynamic", "socks"},
                                               {"ssh", "shell"},
                                               {"run", "exec"},
                                               {"login", "connect"},
                                               {"logout", "disconnect"}});
  const auto* word =
      std::find_if(kWords.begin(), kWords.end(), [&](const Word& w) { return w.typed == name; });
  return word == kWords.end() ? nearest_verb(name) : word->meant;
}

}  // namespace

std::span<const OptionRow> option_rows() { return kOptions; }

const OptionRow* find_option(std::string_view name) {
  const auto* row =
      std::find_if(kOptions.begin(), kOptions.end(), [name](const OptionRow& r) { return r.name == name; });
  return row == kOptions.end() ? nullptr : row;
}

Result<CommandLine> parse_command_line(std::span<const std::string> words) {
  CommandLine line;
  bool only_words = false;  // behind "--"
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!only_words && word == "--") {
      only_words = true;
    } else if (!only_words && word.size() > 1 && word.front() == '-') {
      if (Status status = read_option(line, words, &i); !status.ok()) return status.error();
    } else if (line.verb.empty()) {
      line.verb = word;
      // Nothing else would make an empty word differ from none.
      if (word.empty()) return unknown_verb(word);
    } else {
      line.options.arguments.push_back(word);
      const Verb* verb = find_verb(line.verb);
      const bool command = verb != nullptr && (verb->own_options & kCommandFollows) != 0;
      if (command && line.options.arguments.size() > 1) only_words = true;
    }
  }
  return line;
}

Error unknown_verb(const std::string& name) {
  Error error = usage_error(fmt::format("'{}' is not a verb of jumpctl", name));
  constexpr auto kOfAgent = std::to_array<std::string_view>({"up", "down", "run", "reload", "check-config"});
  const bool of_agent = std::find(kOfAgent.begin(), kOfAgent.end(), name) != kOfAgent.end();
  const std::string_view near = of_agent ? std::string_view() : other_word_for(name);
  if (of_agent) error.hint = fmt::format("did you mean 'jumpagent {}'?", name);
  if (!near.empty()) error.hint = fmt::format("did you mean '{}'?", near);
  if (name == "ssh") error.hint = "did you mean 'shell', or 'exec' for a command?";
  if (name == "scp" || name == "sftp" || name == "rsync")
    error.hint =
        fmt::format("{} itself goes through the agent by ssh_config: try 'jumpctl help ssh-config'", name);
  return error;
}

Status check_command_line(const CommandLine& line) {
  const Verb* found = find_verb(line.verb);
  if (found == nullptr) return unknown_verb(line.verb);
  const Verb& verb = *found;
  const auto wrong = [&verb](std::string_view what) {
    return usage_error(fmt::format("{} {}", verb.name, what),
                       fmt::format("try 'jumpctl help {}'", verb.name));
  };
  const Options& options = line.options;
  const std::size_t count = options.arguments.size();
  const unsigned foreign = line.given & ~verb.own_options;
  if (foreign != 0) return wrong("takes no " + names_of(foreign));
  if (options.all && count > 0) return wrong("takes --all, or names what to close: not both");
  if (options.all) return {};
  if (count > verb.max_arguments)
    return wrong(verb.max_arguments == 0 ? fmt::format("takes no argument: '{}'", options.arguments.front())
                                         : fmt::format("takes no further argument: '{}'",
                                                       options.arguments.at(verb.max_arguments)));
  if (count < verb.min_arguments && verb.min_arguments > 1)
    return wrong(
        fmt::format("takes {} arguments, and got {}: {}", verb.min_arguments, count, verb.arguments));
  if (count < verb.min_arguments)
    return wrong(fmt::format("takes at least one argument: {}", verb.arguments));
  if (!options.name.empty() && count > 1) return wrong("gives a --name to one SPEC only");
  if (options.hold && options.persist)
    return wrong("either holds a forward for as long as it runs (--hold), or keeps it (--persist)");
  return {};
}

std::string from_ssh_habit(std::span<const std::string> words) {
  struct Habit {
    char letter;
    std::string_view verb;
    std::vector<std::string> specs;
  };
  std::array<Habit, 3> habits = {{{'L', "forward", {}}, {'R', "reverse", {}}, {'D', "socks", {}}}};
  std::string host;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.starts_with("--via=")) host = word.substr(6);
    const OptionRow* row = find_option(word);
    if (row != nullptr && row->takes_value && i + 1 < words.size()) {
      ++i;
      if (word == "--via") host = words[i];
      continue;
    }
    if (word.size() < 2 || word.front() != '-' || word[1] == '-') {
      const bool a_host = !word.starts_with('-') && find_verb(word) == nullptr;
      if (a_host && host.empty()) host = word;
      continue;
    }
    // As getopt(3): letters in a row, the last of which may have an argument.
    const std::size_t place = word.find_first_of(kSshWithArgument, 1);
    if (place == std::string::npos) continue;
    std::string argument = word.substr(place + 1);
    if (argument.empty() && i + 1 < words.size()) argument = words[++i];
    for (Habit& habit : habits) {
      if (habit.letter == word[place] && !argument.empty()) habit.specs.push_back(shell_quoted(argument));
    }
  }
  std::vector<std::string> commands;
  const std::string via = host.empty() ? std::string() : " --via " + shell_quoted(host);
  for (const Habit& habit : habits) {
    if (!habit.specs.empty())
      commands.push_back(fmt::format("jumpctl {}{} {}", habit.verb, via, fmt::join(habit.specs, " ")));
  }
  return fmt::format("{}", fmt::join(commands, " && "));
}

}  // namespace jump::ctl
