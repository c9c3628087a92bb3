// Message numbers of the SSH connection protocol (RFC 4254 section 9) and its open-failure codes
// (section 5.1); and one that means nothing (RFC 4253 section 11.2).
#pragma once

#include <cstdint>

namespace jump::ssh {

inline constexpr std::uint8_t kIgnore = 2;
inline constexpr std::uint8_t kGlobalRequest = 80;
inline constexpr std::uint8_t kRequestSuccess = 81;
inline constexpr std::uint8_t kRequestFailure = 82;
inline constexpr std::uint8_t kChannelOpen = 90;
inline constexpr std::uint8_t kChannelOpenConfirmation = 91;
inline constexpr std::uint8_t kChannelOpenFailure = 92;
inline constexpr std::uint8_t kChannelWindowAdjust = 93;
inline constexpr std::uint8_t kChannelData = 94;
inline constexpr std::uint8_t kChannelExtendedData = 95;
inline constexpr std::uint8_t kChannelEof = 96;
inline constexpr std::uint8_t kChannelClose = 97;
inline constexpr std::uint8_t kChannelRequest = 98;
inline constexpr std::uint8_t kChannelSuccess = 99;
inline constexpr std::uint8_t kChannelFailure = 100;

inline constexpr std::uint32_t kOpenAdministrativelyProhibited = 1;
inline constexpr std::uint32_t kOpenConnectFailed = 2;
inline constexpr std::uint32_t kOpenUnknownChannelType = 3;
inline constexpr std::uint32_t kOpenResourceShortage = 4;

}  // namespace jump::ssh
