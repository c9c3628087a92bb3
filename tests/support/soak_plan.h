// SoakPlan: what one connection of the soak does, at both of its ends. The client draws it from its own
// random numbers and sends it ahead of its bytes, so that the target plays its part and knows which bytes to
// expect.
//
//   SoakPlan::draw(random) ─► client: encode(), then play(socket, plan.client)
//                             target: decode(), then play(socket, plan.target)
//
// Invariant: unless a side cuts the connection on purpose, both sides get every byte of the other's pattern
// and then its end, in whatever order things happen.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <random>

#include "base/bytes.h"
#include "support/socket.h"

namespace jump::test {

// When a side sends: from the start; no more than it has received (an echo); after the other side's end.
enum class SoakPace : std::uint8_t { kAtOnce, kEchoing, kAfterEnd };
// What befalls a side in the middle of its work: nothing; it does nothing for a while; it resets; it closes.
enum class SoakMishap : std::uint8_t { kNone, kStalls, kResets, kCloses };

struct SoakPart {
  SoakPace pace = SoakPace::kAtOnce;
  SoakMishap mishap = SoakMishap::kNone;
  std::uint16_t stall_ms = 0;   // with kStalls
  std::uint32_t mishap_at = 0;  // bytes moved both ways before it
  std::uint32_t send_size = 0;  // of pattern_bytes(send_seed, …)
  std::uint32_t expect_size = 0;
  std::uint64_t send_seed = 0;
  std::uint64_t expect_seed = 0;

  bool cuts() const { return mishap == SoakMishap::kResets || mishap == SoakMishap::kCloses; }
};

struct SoakPlan {
  static constexpr std::size_t kEncodedSize = 2 * 32;
  using Encoded = std::array<std::uint8_t, kEncodedSize>;

  SoakPart client;
  SoakPart target;

  static SoakPlan draw(std::mt19937_64& random);
  Encoded encode() const;
  static SoakPlan decode(ByteView bytes);  // kEncodedSize of them
  // Neither side cuts: then both must come to SoakEnd::kComplete.
  bool orderly() const { return !client.cuts() && !target.cuts(); }
};

std::ostream& operator<<(std::ostream& out, const SoakPlan& plan);

enum class SoakEnd {
  kComplete,  // all sent, all received, both ends told
  kCut,       // by this side, as planned
  kBroken,    // reset
  kShort,     // ended in good order with bytes missing
  kWrong,     // a byte that was not the pattern's, or more bytes than there should be
  kStuck,     // nothing moved for longer than a plan explains
};
const char* soak_end_name(SoakEnd end);

// Plays `part` over `socket`, which is closed only when the part says so. `moved` grows by the bytes that
// went either way.
SoakEnd play(Socket& socket, const SoakPart& part, std::uint64_t* moved);

}  // namespace jump::test
