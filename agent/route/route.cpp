#include "route/route.h"

#include <algorithm>
#include <utility>

#include "route/config_dump.h"

namespace jump {

bool Route::same_connections(const Route& other) const {
  return std::equal(steps.begin(), steps.end(), other.steps.begin(), other.steps.end(),
                    [](const Step& a, const Step& b) { return a.spec.same_connection(b.spec); });
}

std::string Route::describe_jumps() const {
  std::string names;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) names += (i ? ", " : "") + steps[i].name;
  return names;
}

// One question at a time, from the target back to here.
class RouteFinder::Search final : public Operation {
 public:
  Search(SshConfig& config, const Bastions& bastions, const std::string& name, const std::string& jump,
         Found done)
      : config_(config), bastions_(bastions), done_(std::move(done)) {
    ask(name, jump);
  }

 private:
  void ask(const std::string& name, const std::string& jump);
  void answered(Result<HopSpec> result);
  void finish(Result<Route> result) {
    Found done = std::move(done_);
    done(std::move(result));  // may destroy this object
  }
  Route whole() const {
    Route route;
    route.steps.assign(backwards_.rbegin(), backwards_.rend());
    return route;
  }
  // Where it begins stands for several hosts: no configuration of ssh's is there to be asked for.
  Route whole_from(const std::string& bastion) {
    backwards_.push_back({bastion, {}, {}});
    backwards_.back().spec.alias = backwards_.back().spec.host = bastion;
    return whole();
  }
  bool comes_again(const std::string& name, const std::string& jump) const;
  Error circle(const std::string& name) const;
  std::string path_to(const std::string& name) const;

  SshConfig& config_;
  const Bastions& bastions_;
  Found done_;
  std::vector<Route::Step> backwards_;  // the target first; the last one is being asked for
  std::unique_ptr<Operation> asking_;
};

void RouteFinder::Search::ask(const std::string& name, const std::string& jump) {
  backwards_.push_back({name, jump, {}});
  asking_ = config_.resolve(name, jump, [this](Result<HopSpec> result) { answered(std::move(result)); });
}

void RouteFinder::Search::answered(Result<HopSpec> result) {
  Route::Step& step = backwards_.back();
  if (!result) {
    Error error = result.error();
    if (error.message.find("jumphost loop") != std::string::npos) return finish(circle(step.name));
    if (backwards_.size() > 1)
      error = error.context(backwards_.front().name + ": its jump host " + step.name);
    return finish(std::move(error));
  }
  step.spec = *std::move(result);
  std::vector<std::string> list = split_list(step.spec.proxy_jump, ',');
  if (list.empty()) return finish(whole());
  if (const auto bastion = bastions_.find(list.front()); list.size() == 1 && bastion != bastions_.end()) {
    if (bastion->second.empty()) return finish(whole_from(bastion->first));
    list.front() = bastion->second;
  }
  std::string next = std::move(list.back());
  list.pop_back();
  std::string rest;
  for (const std::string& name : list) rest += (rest.empty() ? "" : ",") + name;
  if (comes_again(next, rest)) return finish(circle(next));
  if (backwards_.size() >= Route::kMaxHops) {
    return finish(Error{Errc::kLimit,
                        backwards_.front().name + ": more than " + std::to_string(Route::kMaxHops) +
                            " hosts on the way: " + path_to(next),
                        {}});
  }
  ask(next, rest);
}

// Whoever is asked a second time gives the same answer, without end. A host right behind itself is ssh's
// "jumphost loop".
bool RouteFinder::Search::comes_again(const std::string& name, const std::string& jump) const {
  if (backwards_.back().name == name) return true;
  return std::any_of(backwards_.begin(), backwards_.end(), [&](const Route::Step& step) {
    return jump.empty() && step.jump.empty() && step.name == name;
  });
}

Error RouteFinder::Search::circle(const std::string& name) const {
  return Error{
      Errc::kInvalid, backwards_.front().name + ": ProxyJump leads in a circle: " + path_to(name),
      "except the jump host from the rule (Host *.example !" + name + "), or give it ProxyJump none"};
}

// "c → b → a → c"
std::string RouteFinder::Search::path_to(const std::string& name) const {
  std::string path;
  for (const Route::Step& step : backwards_) path += step.name + " → ";
  return path + name;
}

std::unique_ptr<Operation> RouteFinder::find(const std::string& name, const std::string& jump, Found done) {
  return std::make_unique<Search>(config_, bastions_, name, jump, std::move(done));
}

}  // namespace jump
