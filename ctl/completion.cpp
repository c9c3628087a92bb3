#include "ctl/completion.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "ctl/command_line.h"
#include "ctl/output.h"
#include "ctl/ssh_config_hosts.h"
#include "ctl/usage.h"
#include "proto/socket_path.h"

namespace jump::ctl {
namespace {

// For the agent's answer; a person waits for the Tab key.
constexpr Duration kPatience = milliseconds(500);

// Where the cursor is, from the words before it.
struct Place {
  std::string socket;  // --socket, for whoever asks the agent
  const Verb* verb = nullptr;
  bool help = false;                    // "help VERB"
  bool unknown = false;                 // a verb that there is not
  bool only_words = false;              // behind "--"
  const OptionRow* value_of = nullptr;  // the current word is this option's value
  std::vector<std::string> arguments;   // of the verb
};

Place place_of(std::span<const std::string> before) {
  Place place;
  for (const std::string& word : before) {
    if (place.value_of != nullptr) {
      if (place.value_of->name == "--socket") place.socket = word;
      place.value_of = nullptr;
    } else if (!place.only_words && word == "--") {
      place.only_words = true;
    } else if (!place.only_words && word.starts_with('-')) {
      const OptionRow* row = find_option(word);
      if (row != nullptr && row->takes_value) place.value_of = row;
      if (word.starts_with("--socket=")) place.socket = word.substr(word.find('=') + 1);
    } else if (place.verb != nullptr || place.help) {
      place.arguments.push_back(word);
      const bool command = place.verb != nullptr && (place.verb->own_options & kCommandFollows) != 0;
      if (command && place.arguments.size() > 1) place.only_words = true;
    } else {
      place.verb = find_verb(word);
      place.help = word == "help";
      place.unknown = place.verb == nullptr && !place.help;
    }
  }
  return place;
}

std::vector<Candidate> verb_candidates() {
  std::vector<Candidate> all;
  for (const Verb& verb : verbs()) all.push_back({std::string(verb.name), std::string(verb.summary)});
  all.push_back({"help", "explain a verb"});
  return all;
}

std::vector<Candidate> option_candidates(const Place& place) {
  const unsigned own = place.verb == nullptr ? 0 : place.verb->own_options;
  std::vector<Candidate> all;
  for (const OptionRow& row : option_rows()) {
    if (row.own == 0 || (row.own & own) != 0)
      all.push_back({std::string(row.name), std::string(row.summary)});
  }
  return all;
}

// `current` may be "user@…": what is completed then is the host behind it.
std::vector<Candidate> with_user(std::vector<Candidate> hosts, const std::string& current) {
  const std::size_t at = current.rfind('@');
  if (at == std::string::npos) return hosts;
  for (Candidate& host : hosts) host.text.insert(0, current, 0, at + 1);
  return hosts;
}

std::vector<Candidate> value_candidates(const OptionRow& option, const std::string& current,
                                        CompletionSource& source) {
  return option.name == "--via" ? with_user(source.hosts(), current) : std::vector<Candidate>{};
}

std::vector<Candidate> argument_candidates(const Place& place, const std::string& current,
                                           CompletionSource& source) {
  if (place.help) return place.arguments.empty() ? verb_candidates() : std::vector<Candidate>{};
  if (place.arguments.size() >= place.verb->max_arguments) return {};
  switch (place.verb->takes) {
    case Takes::kHosts:
      return with_user(source.hosts(), current);
    case Takes::kHostFirst:
      return place.arguments.empty() ? with_user(source.hosts(), current) : std::vector<Candidate>{};
    case Takes::kConnectedHosts:
      return source.connected_hosts();
    case Takes::kForwards:
      return source.forwards();
    case Takes::kVerbs:
      return verb_candidates();
    case Takes::kShells:
      return {{"bash", {}}, {"zsh", {}}, {"fish", {}}};
    case Takes::kNothing:
      break;
  }
  return {};
}

// Those that fit, each once, and none that stands on the command line already.
std::vector<Candidate> fitting(std::vector<Candidate> all, const std::string& current,
                               const std::vector<std::string>& taken) {
  std::vector<Candidate> out;
  for (Candidate& each : all) {
    const bool again =
        std::find(taken.begin(), taken.end(), each.text) != taken.end() ||
        std::any_of(out.begin(), out.end(), [&](const Candidate& other) { return other.text == each.text; });
    if (each.text.starts_with(current) && !again) out.push_back(std::move(each));
  }
  return out;
}

// The user's files, and the running agent.
class LiveSource final : public CompletionSource {
 public:
  explicit LiveSource(std::string socket) : socket_(std::move(socket)) {}

  std::vector<Candidate> hosts() override {
    SshConfigHosts config;
    const passwd* user = ::getpwuid(::geteuid());  // as ssh does: not $HOME
    const std::string home = user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "/";
    const std::string own = home + "/.ssh";
    const proto::StatusResult& agent = status();
    if (agent.agent.ssh_config.empty()) {
      config.read(own + "/config", home, own);
      config.read("/etc/ssh/ssh_config", home, "/etc/ssh");
    } else {
      config.read(agent.agent.ssh_config, home, own);
    }
    std::set<std::string> names = config.hosts();
    for (const proto::HostStatus& host : agent.hosts) names.insert(host.host);
    std::vector<Candidate> all;
    for (const std::string& name : names) all.push_back({name, {}});
    return all;
  }

  std::vector<Candidate> connected_hosts() override {
    std::vector<Candidate> all;
    for (const proto::HostStatus& host : status().hosts) {
      if (host.state != "idle") all.push_back({host.host, host.state});
    }
    return all;
  }

  std::vector<Candidate> forwards() override {
    std::vector<Candidate> all;
    for (const proto::ForwardStatus& each : status().forwards) all.push_back({each.id, format_forward(each)});
    for (const proto::ForwardStatus& each : status().forwards) {
      if (!each.name.empty()) all.push_back({each.name, format_forward(each)});
    }
    return all;
  }

 private:
  const proto::StatusResult& status() {
    if (!status_) status_ = ask();
    return *status_;
  }

  proto::StatusResult ask() const {
    Options options;
    options.socket = socket_;
    options.timeout = kPatience;
    Result<Client> client = connect_client(options);
    if (!client.ok()) return {};
    Result<proto::StatusResult> answer = client->call(proto::method::kStatus, {}, kPatience);
    return answer.ok() ? *std::move(answer) : proto::StatusResult{};
  }

  const std::string socket_;
  std::optional<proto::StatusResult> status_;
};

}  // namespace

std::vector<Candidate> candidates(std::span<const std::string> words, CompletionSource& source) {
  if (words.empty()) return fitting(verb_candidates(), {}, {});
  const std::string& current = words.back();
  const Place place = place_of(words.first(words.size() - 1));
  if (place.value_of != nullptr)
    return fitting(value_candidates(*place.value_of, current, source), current, {});
  if (!place.only_words && current.starts_with('-')) {
    const std::size_t equals = current.find('=');
    if (equals == std::string::npos) return fitting(option_candidates(place), current, {});
    const OptionRow* row = find_option(std::string_view(current).substr(0, equals));
    if (row == nullptr || !row->takes_value) return {};
    std::vector<Candidate> values = value_candidates(*row, current.substr(equals + 1), source);
    for (Candidate& value : values) value.text.insert(0, current, 0, equals + 1);
    return fitting(std::move(values), current, {});
  }
  if (place.unknown) return {};
  if (place.verb == nullptr && !place.help) return fitting(verb_candidates(), current, {});
  return fitting(argument_candidates(place, current, source), current, place.arguments);
}

int complete(std::span<const std::string> words) {
  LiveSource source(words.empty() ? std::string() : place_of(words.first(words.size() - 1)).socket);
  for (const Candidate& each : candidates(words, source)) {
    const std::string text = sanitized(each.text);
    write_out(each.about.empty() ? text + "\n" : fmt::format("{}\t{}\n", text, sanitized(each.about)));
  }
  return kExitDone;
}

int print_completion(const Options& options) {
  const std::string& shell = options.arguments.front();
  const std::string_view script = completion_script(shell);
  if (script.empty()) {
    return fail(
        options,
        Error{Errc::kInvalid, fmt::format("there is no completion for '{}'", shell), "bash, zsh or fish"},
        kExitUsage, proto::kInvalidParams);
  }
  write_out(script);
  return finish_output(options, kExitDone);
}

}  // namespace jump::ctl
