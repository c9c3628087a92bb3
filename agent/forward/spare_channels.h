// SpareChannels: channels to one target that are open before anybody connects, so that the next connection
// starts without the round trip of an open. Asked for by `--prewarm N`; the target sees N idle connections.
//
//   refill() ─► opening ─► ready ─► take()          the target ends a spare ─► dropped, replaced later
//
// Invariant: take() never gives out a channel that its target has ended. What a target says first (a
// greeting) is kept by the channel and comes to whoever takes it.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "channel/channel.h"
#include "route/host.h"
#include "stream/io.h"

namespace jump {

class SpareChannels {
 public:
  // More would be a load test of the target.
  static constexpr std::size_t kMax = 64;
  // A target that closes idle connections is not asked again at once, and less and less often while nobody
  // wants what was kept for him; one that refuses is asked still less.
  static constexpr Duration kReplaceGap = milliseconds(100);
  static constexpr Duration kReplaceGapMax = seconds(30);
  static constexpr Duration kRetryGap = seconds(5);

  // `refused` hears why the target could not be reached, while the host could.
  using Refused = std::function<void(const Error& error)>;
  SpareChannels(Io& io, Host& host, ChannelOpen request, std::size_t wanted, Duration open_timeout,
                Refused refused);
  ~SpareChannels();
  SpareChannels(const SpareChannels&) = delete;
  SpareChannels& operator=(const SpareChannels&) = delete;

  // Opens what is missing, if the host is connected. Harmless to call often.
  void refill();
  // An open channel without a handler, or null. `serving` carries what is new now: while the first connection
  // is in doubt, what waits there is of no use. What was taken is replaced.
  std::unique_ptr<Channel> take(const Mux& serving);

  std::size_t ready() const;
  std::size_t wanted() const { return wanted_; }

 private:
  class Spare;

  void drop(Spare& spare, Duration retry_after);

  Io& io_;
  Host& host_;
  const ChannelOpen request_;
  const std::size_t wanted_;
  const Duration open_timeout_;
  const Refused refused_;
  std::list<std::shared_ptr<Spare>> spares_;
  std::unique_ptr<Timer> refill_timer_;
  Duration gap_ = kReplaceGap;  // before the next replacement; doubles until one is taken
};

}  // namespace jump
