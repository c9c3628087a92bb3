// What kind of build this test runs in, and how much work that kind gets.
#pragma once

#include <cstddef>

namespace jump::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// Bytes for a bulk transfer: $JUMP_TEST_BULK_MIB, else a size that this kind of build carries in a few
// seconds.
std::size_t bulk_size();

}  // namespace jump::test
