// Subscription: what one client is told of the changes, numbered, and what becomes of it when it does not read.
//
//   change ─► offer() ─► a line           behind by kMaxBacklog: counted, and not told
//   caught_up() ─► nothing waits          after that resync() ─► one line with the whole of now
//
// Invariants: every change that it wants takes one number, whether told or not; so the numbers of what is told
// follow each other without a gap, but for those that a "lagged" accounts for in `missed`; between the first
// change that is not told and the resync nothing is told; nothing is kept here but numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "control/entity_table.h"
#include "proto/messages.h"

namespace jump {

class Subscription {
 public:
  // Bytes of changes that a client has not taken yet: some hundreds of them, and no more than a kernel's
  // socket buffer holds anyway. Who is further behind is better off with a snapshot. The snapshots themselves
  // do not count: there is never more than one on its way.
  static constexpr std::size_t kMaxBacklog = 256 * 1024;

  // Errors: kInvalid (no such kind).
  static Result<Subscription> make(const proto::EventsSubscribeParams& params);
  // The client has not taken yet what it was told before, perhaps by another subscription: so that one who
  // subscribes again and again gets no more than one backlog.
  void begin_behind() { backlog_ = kMaxBacklog; }

  // Appends the line, if the client is to have it.
  void offer(const EntityChange& change, std::string& lines);
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
