#include "base/nearest_name.h"

#include <algorithm>
#include <vector>

namespace jump {
namespace {

// Single-letter edits and swaps of neighbours between two words (Damerau's distance, optimal string
// alignment).
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view typed, std::span<const std::string_view> names) {
  constexpr std::size_t kNear = 2;      // edits
  constexpr std::size_t kLongest = 32;  // no name is half as long
  if (typed.empty() || typed.size() > kLongest) return {};
  std::string_view best;
  std::size_t best_edits = kNear + 1;
  for (std::string_view name : names) {
    const std::size_t edits = name.starts_with(typed) ? 1 : edits_between(typed, name);
    if (edits >= best_edits || edits >= std::max(typed.size(), std::size_t{2})) continue;
    best = name;
    best_edits = edits;
  }
  return best;
}

}  // namespace jump
