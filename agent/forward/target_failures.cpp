#include "forward/target_failures.h"

#include <algorithm>

namespace jump {

std::list<TargetFailure>::iterator TargetFailures::find(const Endpoint& target) {
  return std::find_if(failures_.begin(), failures_.end(),
                      [&](const TargetFailure& each) { return each.target == target; });
}

void TargetFailures::failed(const Endpoint& target, const Error& error, TimePoint now) {
  last_reached_ = false;
  auto found = find(target);
  const std::uint64_t before = found == failures_.end() ? 0 : found->count;
  if (found != failures_.end()) failures_.erase(found);
  failures_.push_front({target, error, now, before + 1});
  if (failures_.size() > kMax) failures_.pop_back();
}

void TargetFailures::reached(const Endpoint& target) {
  last_reached_ = true;
  if (auto found = find(target); found != failures_.end()) failures_.erase(found);
}

}  // namespace jump
