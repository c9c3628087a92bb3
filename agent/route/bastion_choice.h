// Which member of a bastion serves, and in which order they are tried. A bastion is one name of the config
// file for several hosts that are as good as each other: bastion.prod = ["jump1", "jump2"]. Pure; the members
// are given in the file's order, and named by their place in it.
//
// The rules: one that is connected, and answers, is taken before any is dialled. Who failed lately comes
// after who did not, whoever failed last at the end. Otherwise the file's order holds, except that a member
// whose round trip was measured to be much shorter than that of the one before the others goes first.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace jump {

struct BastionMember {
  // Whether its login takes a person, as far as is known.
  enum class Takes { kUnknown, kNoPerson, kPerson };

  bool ready = false;                  // connected, and not in doubt
  std::optional<Duration> failed_ago;  // none: it did not, lately
  std::optional<Duration> round_trip;  // smoothed, of now or of its last connection
  Takes takes = Takes::kUnknown;
  bool connected = false;  // ready, or in doubt: it needs no login
};

// Somebody waits who could answer what a login asks.
enum class Attended { kYes, kNo };

// Less than this is no reason to prefer one to the other: it varies as much by itself.
inline constexpr Duration kMuchFasterBy = milliseconds(2);

// By a quarter and by kMuchFasterBy. False where either is not known.
bool much_faster(const BastionMember& a, const BastionMember& b);

// Of those that are ready; none: none is.
std::optional<std::size_t> fastest_ready(const std::vector<BastionMember>& members);

// Those to be tried, in order. Where nobody could answer, none whose login takes a person, unless it is
// connected; and once that is known of one, only those that are known to need none, as it is the same login.
// So it may be empty.
std::vector<std::size_t> order_of_trial(const std::vector<BastionMember>& members, Attended attended);

}  // namespace jump
