#include "config/live_config.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace jump {
namespace {

// An empty config would take away all that the file asked for: more likely a slip than a wish.
Error gone(const std::string& file) {
  return {Errc::kNotFound, file + " is gone; the agent keeps the config it has",
          "put it back, empty if nothing is wanted, then: jumpagent reload"};
}

// A line of text for each mistake.
void log_errors(std::string_view lines) {
  log::error("the config stays as it was:");
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    log::error("  {}", lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
}

}  // namespace

LiveConfig::LiveConfig(Io& io, Hosts& hosts, Forwards& forwards, ConfigFile file, AgentConfig initial)
    : io_(io), file_(std::move(file)), current_(std::move(initial)), upkeep_(io, hosts, forwards) {}

void LiveConfig::start(std::function<void(const AgentConfig&)> changed) {
  changed_ = std::move(changed);
  changed_(current_);
  upkeep_.apply({}, current_);
}

void LiveConfig::reload(ReloadDone done) {
  later_.push_back(std::move(done));
  if (!reading_) read();
}

void LiveConfig::stop() {
  reading_.reset();
  upkeep_.stop();
  const Error ended{Errc::kClosed, "the agent is shutting down", {}};
  for (auto* list : {&askers_, &later_}) {
    for (const ReloadDone& done : std::exchange(*list, {})) done(ended);
  }
}

void LiveConfig::read() {
  askers_ = std::exchange(later_, {});
  // Owned by the work: it may go on after us.
  auto outcome = std::make_shared<std::optional<std::variant<AgentConfig, ConfigErrors>>>();
  reading_ = io_.in_pool([file = file_, outcome] { *outcome = file.read(); },
                         [this, outcome] { take(*std::move(*outcome)); });
}

void LiveConfig::take(std::variant<AgentConfig, ConfigErrors> read_config) {
  reading_.reset();
  const auto outcome = [&]() -> Result<ReloadOutcome> {
    const bool had_one = !current_.file.empty();
    if (auto* errors = std::get_if<ConfigErrors>(&read_config)) {
      if (had_one && errors->front().code == Errc::kNotFound) return gone(current_.file);
      return summary(file_.path, *errors);
    }
    if (had_one && std::get<AgentConfig>(read_config).file.empty()) return gone(current_.file);
    return carry_out(std::get<AgentConfig>(std::move(read_config)));
  }();
  if (!outcome) log_errors(outcome.error().message);
  for (const ReloadDone& done : std::exchange(askers_, {})) done(outcome);
  if (!later_.empty()) read();
}

ReloadOutcome LiveConfig::carry_out(AgentConfig next) {
  ReloadOutcome outcome;
  outcome.file = next.file;
  outcome.needs_restart = difference(current_, next).needs_restart;
  const AgentConfig before = std::exchange(current_, std::move(next));
  changed_(current_);
  outcome.upkeep = upkeep_.apply(before, current_);
  // What takes a restart stays as it is, so that the next reload says so again.
  current_.lanes = before.lanes;
  current_.window_memory = before.window_memory;
  log::info("the config was read: {} forward{} opened, {} closed, {} as they were", outcome.upkeep.opened,
            outcome.upkeep.opened == 1 ? "" : "s", outcome.upkeep.closed, outcome.upkeep.kept);
  return outcome;
}

}  // namespace jump
