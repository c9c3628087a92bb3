// SoakClient: one thread's worth of clients of forwards, a connection after the other, each with a SoakPlan
// of its own, against SoakTargets. It keeps count, and complains of what went other than it may.
//
// In calm weather a connection that nobody cuts on purpose has to be complete. In a storm the way is cut from
// time to time: then a connection may be refused, or break (a reset), but what ended in good order has to be
// whole all the same. Unix sockets know no reset: there, an end with bytes missing may be a break. The plan
// says how many there should have been, so it is known for what it is, and counted apart.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "support/soak_plan.h"
#include "support/socket.h"

namespace jump::test {

// Where a client may connect: a port, or a path.
struct Door {
  std::uint16_t port = 0;
  std::string path;

  std::optional<Socket> connect() const {
    return path.empty() ? Socket::connect_tcp(port, seconds(60)) : Socket::connect_unix(path);
  }
  // The target behind it answers, and is the one.
  bool serves(Duration deadline) const;
};

struct Tally {
  static constexpr std::size_t kMaxComplaints = 10;

  std::uint64_t connections = 0, complete = 0, cut = 0, broken = 0, abandoned = 0, refused = 0;
  std::uint64_t closed_doors = 0;  // in a storm
  std::uint64_t ended_short = 0;   // of `broken`, at Unix doors: in good order, with bytes missing
  std::uint64_t bytes = 0;
  std::vector<std::string> complaints;

  void complain(const std::string& text) {
    if (complaints.size() < kMaxComplaints) complaints.push_back(text);
  }
  void operator+=(const Tally& other);
  // "120 connections: 80 complete, …"
  std::string describe() const;
};

class SoakClient {
 public:
  enum class Weather { kCalm, kStorm };

  // `closed` leads to a target that refuses; null: there is none.
  SoakClient(std::uint64_t seed, const std::vector<Door>& doors, const Door* closed,
             Weather weather = Weather::kCalm)
      : random_(seed), doors_(doors), closed_(closed), weather_(weather) {}

  // Until then; what was begun comes to its end.
  Tally run(TimePoint until);

 private:
  void be_refused(Socket& socket);
  void abandon(Socket& socket);
  void carry_out(Socket& socket, const SoakPlan& plan, const Door& door);
  bool may_end(SoakEnd end, const SoakPlan& plan, const Door& door) const;

  std::mt19937_64 random_;
  const std::vector<Door>& doors_;
  const Door* const closed_;
  const Weather weather_;
  Tally tally_;
};

}  // namespace jump::test
