#include "support/build_kind.h"

#include <cstdlib>

namespace jump::test {

namespace {
constexpr std::size_t kMiB = std::size_t{1} << 20;
#ifdef NDEBUG
constexpr std::size_t kDefaultMiB = kSanitized ? 128 : 1024;
#else
constexpr std::size_t kDefaultMiB = kSanitized ? 128 : 256;
#endif
}  // namespace

std::size_t bulk_size() {
  const char* text = std::getenv("JUMP_TEST_BULK_MIB");
  std::size_t mib = text ? std::strtoul(text, nullptr, 10) : 0;
  return (mib ? mib : kDefaultMiB) * kMiB;
}

}  // namespace jump::test
