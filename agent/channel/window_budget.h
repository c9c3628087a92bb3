// WindowBudget: how much all channels of the agent together may be sent ahead of their owners. One per agent;
// every Mux asks it what a new channel's window may be and how far a busy one may grow, and tells it what is
// held.
//
// The few channels of an ordinary day get all they can use; ten thousand get little each. What is held for
// owners that do not read counts against everybody's growth, so the cap is approached, not passed, by honest
// use.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace jump {

class WindowBudget {
 public:
  static constexpr std::size_t kDefaultCap = 512 * 1024 * 1024;
  // 2 MiB, as ssh has: a new channel needs no round trips to become fast.
  static constexpr std::uint32_t kInitialMax = 2 * 1024 * 1024;
  // Two of OpenSSH's data packets: below it, each packet would wait for its credit.
  static constexpr std::uint32_t kInitialMin = 64 * 1024;
  // OpenSSH stops reading a channel's input when 16 MiB wait; a window must stay below that.
  static constexpr std::uint32_t kWindowMax = 16 * 1024 * 1024 - 64 * 1024;

  explicit WindowBudget(std::size_t cap = kDefaultCap) : cap_(cap) {}

  void channel_opened() { channels_++; }
  void channel_ended() { channels_--; }
  void held(std::size_t bytes) { held_ += bytes; }
  void released(std::size_t bytes) { held_ -= bytes; }

  std::uint32_t initial_window() const {
    return static_cast<std::uint32_t>(
        std::clamp<std::size_t>(left() / (2 * (channels_ + 1)), kInitialMin, kInitialMax));
  }
  // A window that grows stops here. Less than it has already: it stays as it is.
  std::uint32_t growth_limit() const {
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(left() / 8, kInitialMin, kWindowMax));
  }

  std::size_t cap() const { return cap_; }
  std::size_t held() const { return held_; }

 private:
  std::size_t left() const { return cap_ - std::min(cap_, held_); }

  const std::size_t cap_;
  std::size_t channels_ = 0;
  std::size_t held_ = 0;
};

}  // namespace jump
