#include "route/bastion_choice.h"

#include <algorithm>

namespace jump {
namespace {

// The place in `order` of the one to prefer: the first, unless another is much faster.
std::size_t preferred(const std::vector<BastionMember>& members, const std::vector<std::size_t>& order) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < order.size(); ++i) {
    const BastionMember& each = members[order[i]];
    const bool faster = best == 0 ? much_faster(each, members[order[0]])
                                  : each.round_trip && *each.round_trip < *members[order[best]].round_trip;
    if (faster) best = i;
  }
  return best;
}

}  // namespace

bool much_faster(const BastionMember& a, const BastionMember& b) {
  if (!a.round_trip || !b.round_trip) return false;
  return *a.round_trip * 4 < *b.round_trip * 3 && *b.round_trip - *a.round_trip >= kMuchFasterBy;
}

std::optional<std::size_t> fastest_ready(const std::vector<BastionMember>& members) {
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].ready) ready.push_back(i);
  }
  if (ready.empty()) return std::nullopt;
  return ready[preferred(members, ready)];
}

std::vector<std::size_t> order_of_trial(const std::vector<BastionMember>& members, Attended attended) {
  using Takes = BastionMember::Takes;
  const bool asks = std::any_of(members.begin(), members.end(),
                                [](const BastionMember& each) { return each.takes == Takes::kPerson; });
  std::vector<std::size_t> well, failed;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const BastionMember& each = members[i];
    if (attended == Attended::kNo && asks && each.takes != Takes::kNoPerson && !each.connected) continue;
    (each.failed_ago ? failed : well).push_back(i);
  }
  std::stable_sort(failed.begin(), failed.end(), [&members](std::size_t a, std::size_t b) {
    return *members[a].failed_ago > *members[b].failed_ago;
  });
  if (!well.empty()) {
    const auto best = well.begin() + static_cast<std::ptrdiff_t>(preferred(members, well));
    std::rotate(well.begin(), best, best + 1);
  }
  well.insert(well.end(), failed.begin(), failed.end());
  return well;
}

}  // namespace jump
