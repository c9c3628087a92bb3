// Subscription: what one client is told of the changes, numbered, and what becomes of it when it does not
// read.
//
//   changes ─► offer() ─► lines           behind by kMaxBacklog: counted, and not told
//   caught_up() ─► nothing waits          after that resync() ─► one line with the whole of now
//
// Invariants: every change that it wants takes one number, whether told or not; so the numbers of what is
// told follow each other without a gap, but for those that a "lagged" accounts for in `missed`; between the
// first change that is not told and the resync nothing is told; nothing is kept here but numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/entity_table.h"
#include "proto/messages.h"

namespace jump {

class Subscription {
 public:
  // Bytes of changes that a client has not taken yet, from which on it is told no more: some hundreds of
  // changes, about what a kernel's socket buffer holds anyway. Who is further behind is better off with a
  // snapshot. So what waits is at most this, the changes of one look, and one snapshot.
  static constexpr std::size_t kMaxBacklog = 256 * 1024;

  // Errors: kInvalid (no such kind).
  static Result<Subscription> make(const proto::EventsSubscribeParams& params);
  // The client has not taken yet what it was told before, perhaps by another subscription: so that one who
  // subscribes again and again gets no more than one backlog.
  void begin_behind() { backlog_ = kMaxBacklog; }

  // The changes that one look has found: the lines that the client is to have of it. It is all of them or
  // none, as somebody who has read everything has missed nothing, however much it is at once.
  std::string offer(const std::vector<EntityChange>& changes);
  // The client has taken all that it was told.
  void caught_up() { backlog_ = 0; }
  bool lagging() const { return missed_ > 0; }
  // The line that ends the lagging. `now` holds all that was offered.
  std::string resync(const proto::EventsSnapshot& now);

  // For the answer to the request.
  proto::EventsSubscribeResult begin(const proto::EventsSnapshot& now) const { return {seq_, part_of(now)}; }

 private:
  bool wants(EntityKind kind) const { return (kinds_ & bit(kind)) != 0; }
  static unsigned bit(EntityKind kind) { return 1u << static_cast<unsigned>(kind); }
  proto::EventsSnapshot part_of(const proto::EventsSnapshot& all) const;

  unsigned kinds_ = 0;
  bool counters_ = false;
  std::uint64_t seq_ = 0;
  std::uint64_t missed_ = 0;  // since the last resync
  std::size_t backlog_ = 0;   // bytes told since the client had taken all
};

}  // namespace jump
