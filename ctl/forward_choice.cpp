#include "ctl/forward_choice.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/nearest_name.h"
#include "ctl/specs_here.h"

namespace jump::ctl {
namespace {

using Forwards = std::vector<proto::ForwardStatus>;
using proto::ForwardKind;

bool is_id(std::string_view text) {
  return text.size() > 1 && text[0] == 'f' && text.find_first_not_of("0123456789", 1) == std::string::npos;
}

Error not_found(const Forwards& forwards, const std::string& word) {
  Error error{Errc::kNotFound, fmt::format("there is no forward '{}'", word),
              "the forwards there are: jumpctl list"};
  const auto listening =
      std::find_if(forwards.begin(), forwards.end(), [&](const proto::ForwardStatus& each) {
        return !word.empty() && (each.listen == word || each.listen.ends_with(":" + word));
      });
  if (listening != forwards.end()) {
    error.hint = fmt::format("did you mean '{}', which listens on {}?", listening->id, listening->listen);
    return error;
  }
  // The neighbour of an id that is gone is another forward, not a likely meaning.
  std::vector<std::string_view> names;
  for (const proto::ForwardStatus& each : forwards) {
    if (!each.name.empty()) names.push_back(each.name);
    if (!is_id(word)) names.push_back(each.id);
  }
  if (const std::string_view near = nearest_name(word, names); !near.empty())
    error.hint = fmt::format("did you mean '{}'?", near);
  return error;
}

// The same text for each spelling of loopback, and of every interface. "::1" and "::" are others: a forward
// may listen on each beside the IPv4 one.
std::string loose_text(proto::ForwardSpec spec) {
  std::string& bind = spec.listen.host;
  if (bind == "localhost" || bind == "127.0.0.1") bind.clear();
  if (bind == "0.0.0.0") bind = "*";
  return spec.to_string();
}

// Whose a spec is: the forward that was opened with it, else one that listens where it says, as `list` prints
// that, else one whose spec differs in the spelling of the bind address only.
class BySpec {
 public:
  explicit BySpec(const Forwards& forwards) {
    for (const proto::ForwardStatus& each : forwards) {
      opened_[{each.kind, each.spec}].push_back(each.id);
      const std::string target = each.target.empty() ? std::string() : ":" + each.target;
      listening_[{each.kind, each.listen + target}].push_back(each.id);
      const auto kind = proto::forward_kind_of(each.kind);
      if (!kind) continue;  // of a newer agent
      const auto spec = proto::parse_forward_specs(*kind, each.spec);
      if (spec.ok()) loose_[{each.kind, loose_text(spec->front())}].push_back(each.id);
    }
  }

  // `meanings`: one text may be a spec of several kinds.
  std::vector<std::string> find(const std::vector<proto::ForwardSpec>& meanings) const {
    std::vector<std::string> ids;
    const auto look = [&](const Ids& all, auto text_of) {
      if (!ids.empty()) return;
      for (const proto::ForwardSpec& spec : meanings) {
        const auto place = all.find({proto::forward_kind_name(spec.kind), text_of(spec)});
        if (place != all.end()) ids.insert(ids.end(), place->second.begin(), place->second.end());
      }
    };
    look(opened_, [](const proto::ForwardSpec& spec) { return spec.to_string(); });
    look(listening_, [](const proto::ForwardSpec& spec) { return spec.to_string(); });
    look(loose_, loose_text);
    return ids;
  }

 private:
  using Ids = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;  // by kind and text
  Ids opened_, listening_, loose_;
};

Result<std::string> only(const Forwards& forwards, const std::string& word,
                         const std::vector<std::string>& ids) {
  if (ids.size() == 1) return ids.front();
  if (ids.empty()) return not_found(forwards, word);
  return Error{Errc::kInvalid, fmt::format("'{}' may be any of {}", word, fmt::join(ids, ", ")),
               "name those that you mean by id"};
}

// One, or one for each port of a range.
std::vector<ForwardChoice> by_spec(const Forwards& forwards, const BySpec& specs, const std::string& word,
                                   const std::string& directory) {
  std::vector<std::pair<std::string, std::vector<proto::ForwardSpec>>> found;  // each port's, of every kind
  for (const ForwardKind kind : {ForwardKind::kLocal, ForwardKind::kRemote, ForwardKind::kDynamic}) {
    const auto parsed = specs_here(kind, word, directory);
    if (!parsed.ok()) continue;
    for (std::size_t i = 0; i < parsed->size(); ++i) {
      if (found.size() == i) found.push_back({parsed->size() == 1 ? word : (*parsed)[i].to_string(), {}});
      found[i].second.push_back((*parsed)[i]);
    }
  }
  if (found.empty()) return {{word, not_found(forwards, word)}};
  std::vector<ForwardChoice> choices;
  for (const auto& [item, meanings] : found)
    choices.push_back({item, only(forwards, item, specs.find(meanings))});
  return choices;
}

}  // namespace

std::vector<ForwardChoice> choose_forwards(const Forwards& forwards, const std::vector<std::string>& words,
                                           const std::string& directory) {
  const BySpec specs(forwards);
  std::vector<ForwardChoice> all;
  std::set<std::string> chosen;
  const auto add = [&](ForwardChoice choice) {
    if (!choice.id.ok() || chosen.insert(*choice.id).second) all.push_back(std::move(choice));
  };
  for (const std::string& word : words) {
    const auto named = std::find_if(forwards.begin(), forwards.end(), [&](const proto::ForwardStatus& each) {
      return each.id == word || (!word.empty() && each.name == word);
    });
    if (named != forwards.end()) {
      add({word, named->id});
      continue;
    }
    for (ForwardChoice& choice : by_spec(forwards, specs, word, directory)) add(std::move(choice));
  }
  return all;
}

}  // namespace jump::ctl
