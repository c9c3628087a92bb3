// CarriedDial: connects to a server from a jump host, by a channel of the connection to that one. The jump
// host's own TCP may pause for many seconds between its tries at a path that was cut and is back; so as long
// as there is no answer, another channel is asked for every kAnew, and the first that is confirmed serves.
//
//   acquire the jump host ─► a channel ─► (another, every kAnew) ─► confirmed: done, all others are let go of
//                                                               └─► refused, or none in time: the reason
//
// Invariants: at most kRounds channels wait, the oldest go; `done` is called once, from the loop, and not
// after destruction.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "channel/mux.h"
#include "stream/io.h"

namespace jump {

class CarriedDial final : public Operation {
 public:
  // As UvDial has it, for the same reason.
  static constexpr Duration kAnew = seconds(2);
  // What the jump host has under way at a time, as far as it is ours to end.
  static constexpr std::size_t kRounds = 3;

  // Asks for the jump host's connection; the answer may come late, as it may have to log in first.
  using Acquire = std::function<std::unique_ptr<Operation>(std::function<void(Result<Mux*>)>)>;

  // `jump_host` is how errors name that one. `limit`: from its answer to the channel's.
  CarriedDial(Io& io, Acquire acquire, std::string jump_host, Endpoint target, Duration limit,
              Io::DialResult done);
  ~CarriedDial() override;

 private:
  class Attempt;

  void on_mux(const Result<Mux*>& mux);
  void ask(Mux& mux);
  void look();
  void finish(Result<std::unique_ptr<ByteStream>> result);

  Io& io_;
  const Acquire acquire_;
  const std::string jump_host_;
  const Endpoint target_;
  const Duration limit_;
  Io::DialResult done_;
  TimePoint deadline_ = TimePoint::max();
  std::unique_ptr<Operation> acquiring_;
  std::list<Attempt> attempts_;
  std::unique_ptr<Timer> again_;
  std::unique_ptr<Deferred> look_soon_;  // not from within a channel's own call
};

}  // namespace jump
