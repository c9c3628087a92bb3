#include "control/host_way.h"

#include <algorithm>
#include <utility>

#include "route/host_name.h"

namespace jump {
namespace {

bool add(std::vector<std::string>& list, const std::string& name) {
  if (std::find(list.begin(), list.end(), name) != list.end()) return false;
  list.push_back(name);
  return true;
}

}  // namespace

HostWay::HostWay(Hosts& hosts, const std::string& name, Found done) : hosts_(hosts), done_(std::move(done)) {
  look_at(name);
  resolve_next();
}

// A bastion's members are no bastions themselves.
void HostWay::look_at(const std::string& name) {
  const std::vector<std::string>& members = hosts_.members(name);
  if (!members.empty()) add(bastions_, name);
  const std::vector<std::string> itself = {name};
  const std::vector<std::string>& names = members.empty() ? itself : members;
  for (auto each = names.rbegin(); each != names.rend(); ++each) {
    if (add(seen_, *each)) to_resolve_.push_back(*each);
  }
}

void HostWay::resolve_next() {
  const std::string name = std::move(to_resolve_.back());
  to_resolve_.pop_back();
  resolving_ = hosts_.resolve(name, [this](const Result<Route>& route) { on_route(route); });
}

void HostWay::on_route(const Result<Route>& route) {
  if (route) {
    for (const Route::Step& step : route->steps) {
      if (!hosts_.members(step.name).empty()) {
        look_at(step.name);
        continue;
      }
      const Result<HostName> name = HostName::parse(step.name);
      add(way_, name ? name->host : step.name);
    }
    if (!to_resolve_.empty()) return resolve_next();
    for (const std::string& bastion : bastions_) add(way_, bastion);
  }
  Found done = std::move(done_);
  if (!route) return done(route.error());
  done(std::move(way_));  // may destroy this object
}

}  // namespace jump
