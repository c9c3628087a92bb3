// TargetFailures: which targets of a dynamic forward could not be reached lately, and why. A target's entry
// goes when it is reached again; of too many, the oldest goes.
#pragma once

#include <cstdint>
#include <list>

#include "base/clock.h"
#include "base/result.h"
#include "stream/io.h"

namespace jump {

struct TargetFailure {
  Endpoint target;
  Error error;              // the last one
  TimePoint time;           // of that
  std::uint64_t count = 0;  // in a row
};

class TargetFailures {
 public:
  // A person looks at them; a scan of a network through the forward must not grow them.
  static constexpr std::size_t kMax = 16;

  void failed(const Endpoint& target, const Error& error, TimePoint now);
  void reached(const Endpoint& target);
  // The latest first.
  const std::list<TargetFailure>& all() const { return failures_; }
  // The last connection found its target.
  bool last_reached() const { return last_reached_; }

 private:
  std::list<TargetFailure>::iterator find(const Endpoint& target);

  std::list<TargetFailure> failures_;
  bool last_reached_ = true;
};

}  // namespace jump
