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

// What was meant by each forward's spec, by kind: one SPEC may be of several kinds.
class BySpec {
 public:
  explicit BySpec(const Forwards& forwards) {
    for (const proto::ForwardStatus& each : forwards) ids_[{each.kind, each.spec}].push_back(each.id);
  }

  std::vector<std::string> find(const proto::ForwardSpec& spec) const {
    const auto place = ids_.find({proto::forward_kind_name(spec.kind), spec.to_string()});
    return place == ids_.end() ? std::vector<std::string>{} : place->second;
  }

 private:
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> ids_;
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
  std::vector<std::pair<std::string, std::vector<std::string>>> found;  // the spec, and whose it is
  for (const ForwardKind kind : {ForwardKind::kLocal, ForwardKind::kRemote, ForwardKind::kDynamic}) {
    const auto parsed = specs_here(kind, word, directory);
    if (!parsed.ok()) continue;
    for (std::size_t i = 0; i < parsed->size(); ++i) {
      if (found.size() == i) found.push_back({parsed->size() == 1 ? word : (*parsed)[i].to_string(), {}});
      const std::vector<std::string> ids = specs.find((*parsed)[i]);
      found[i].second.insert(found[i].second.end(), ids.begin(), ids.end());
    }
  }
  if (found.empty()) return {{word, not_found(forwards, word)}};
  std::vector<ForwardChoice> choices;
  for (const auto& [item, ids] : found) choices.push_back({item, only(forwards, item, ids)});
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
