#include "ctl/watch_text.h"

#include <fmt/core.h>

#include <set>
#include <vector>

#include "ctl/print.h"
#include "ctl/table.h"

namespace jump::ctl {
namespace {

using proto::ForwardStatus;
using proto::HostStatus;
using proto::InteractionStatus;
using proto::SessionStatus;

// A line is for one glance.
constexpr std::size_t kLongestCommand = 60;

const std::string& id_of(const HostStatus& host) { return host.host; }
const std::string& id_of(const ForwardStatus& forward) { return forward.id; }
const std::string& id_of(const SessionStatus& session) { return session.id; }
const std::string& id_of(const InteractionStatus& question) { return question.id; }

std::string name_of(const HostStatus& host) { return "host " + host.host; }
std::string name_of(const ForwardStatus& forward) {
  const std::string name = forward.name.empty() ? forward.id : forward.id + " " + forward.name;
  const bool there = forward.kind.starts_with("remote");
  const std::string listen = there ? fmt::format("{} on {}", forward.listen, forward.via) : forward.listen;
  return fmt::format("forward {} ({} -> {})", name, listen,
                     forward.target.empty() ? "any target" : forward.target);
}
// "session s1 (command on prod: uname -a)"
std::string name_of(const SessionStatus& session) {
  const std::string what =
      session.what.empty() ? std::string() : ": " + shortened(sanitized(session.what), kLongestCommand);
  return fmt::format("session {} ({} on {}{})", session.id, session.kind, session.host, what);
}
std::string name_of(const InteractionStatus& question) {
  return fmt::format("question {} ({}, for {})", question.id, question.kind, question.host);
}

template <class Status>
std::string state_of(const Status& status) {
  return status.state;
}
std::string state_of(const InteractionStatus& question) {
  return question.claimed ? "being answered" : "waits for an answer";
}

template <class Status>
std::string error_of(const Status& status) {
  return status.error;
}
std::string error_of(const SessionStatus&) { return {}; }
std::string error_of(const InteractionStatus&) { return {}; }

std::string end_of(const HostStatus&) { return "gone"; }
std::string end_of(const ForwardStatus&) { return "closed"; }
std::string end_of(const SessionStatus&) { return "over"; }
std::string end_of(const InteractionStatus&) { return "over"; }

std::string line(std::string_view at, std::string_view text) {
  return fmt::format("{} {}\n", at, sanitized(text));
}

template <class Status>
std::string with_error(std::string text, const Status& status) {
  const std::string error = error_of(status);
  return error.empty() ? text : text + ": " + error;
}

template <class Status>
std::string describe(const Status& status) {
  return with_error(name_of(status) + ": " + state_of(status), status);
}

template <class Status>
std::string describe_change(const Status& before, const Status& now) {
  if (state_of(before) != state_of(now))
    return with_error(fmt::format("{}: {} -> {}", name_of(now), state_of(before), state_of(now)), now);
  if (error_of(before) != error_of(now)) return describe(now);
  return fmt::format("{}: {} (details have changed)", name_of(now), state_of(now));
}

}  // namespace

template <class Status>
std::string WatchText::update(Known<Status>& known, const Status& status, std::string_view at) {
  const auto [place, is_new] = known.try_emplace(id_of(status), status);
  if (is_new) return line(at, describe(status));
  const std::string text = describe_change(place->second, status);
  place->second = status;
  return line(at, text);
}

template <class Status>
std::string WatchText::remove(Known<Status>& known, const std::string& id, std::string_view at) {
  const auto found = known.find(id);
  if (found == known.end()) return {};
  const std::string text = fmt::format("{}: {}", name_of(found->second), end_of(found->second));
  known.erase(found);
  return line(at, text);
}

// Only what a line would show another way: after a gap the figures of all differ.
template <class Status>
std::string WatchText::replace(Known<Status>& known, const std::vector<Status>& all, std::string_view at) {
  std::set<std::string> there;
  for (const Status& status : all) there.insert(id_of(status));
  std::vector<std::string> gone;
  for (const auto& [id, status] : known) {
    if (!there.contains(id)) gone.push_back(id);
  }
  std::string out;
  for (const std::string& id : gone) out += remove(known, id, at);
  for (const Status& status : all) {
    const auto before = known.find(id_of(status));
    if (before != known.end() && describe(before->second) == describe(status)) {
      before->second = status;
    } else {
      out += update(known, status, at);
    }
  }
  return out;
}

std::string WatchText::begin(const proto::EventsSnapshot& snapshot, std::string_view at) {
  const std::string out = replace(hosts_, snapshot.hosts, at) + replace(forwards_, snapshot.forwards, at) +
                          replace(sessions_, snapshot.sessions, at) +
                          replace(interactions_, snapshot.interactions, at);
  return out.empty() ? line(at, "no hosts and no forwards yet") : out;
}

std::string WatchText::tell(const proto::Event& event, std::string_view at) {
  if (event.host) return update(hosts_, *event.host, at);
  if (event.forward) return update(forwards_, *event.forward, at);
  if (event.session) return update(sessions_, *event.session, at);
  if (event.interaction) return update(interactions_, *event.interaction, at);
  if (event.action != "removed") return {};  // of a kind that is not known here
  if (event.kind == "host") return remove(hosts_, event.id, at);
  if (event.kind == "forward") return remove(forwards_, event.id, at);
  if (event.kind == "session") return remove(sessions_, event.id, at);
  if (event.kind == "interaction") return remove(interactions_, event.id, at);
  return {};
}

std::string WatchText::tell(const proto::EventsLagged& lagged, std::string_view at) {
  return line(at, fmt::format("{} changes were missed; what is different now:", lagged.missed)) +
         replace(hosts_, lagged.snapshot.hosts, at) + replace(forwards_, lagged.snapshot.forwards, at) +
         replace(sessions_, lagged.snapshot.sessions, at) +
         replace(interactions_, lagged.snapshot.interactions, at);
}

}  // namespace jump::ctl
