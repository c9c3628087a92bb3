// LeaksOfEcdh: while one lives, LeakSanitizer (if built in) does not count what is allocated: libssh2 1.11.1
// forgets a few OpenSSL objects (2 KB) in each ecdh-sha2-nistp* key exchange, and its frames cannot be told
// apart in a report.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define JUMP_LEAK_CHECK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JUMP_LEAK_CHECK 1
#endif
#endif

#if defined(JUMP_LEAK_CHECK)
#include <sanitizer/lsan_interface.h>
#endif

namespace jump {

class LeaksOfEcdh {
 public:
#if defined(JUMP_LEAK_CHECK)
  LeaksOfEcdh() { __lsan_disable(); }
  ~LeaksOfEcdh() { __lsan_enable(); }
#else
  LeaksOfEcdh() = default;
  ~LeaksOfEcdh() {}  // so that an unused one is no warning
#endif
  LeaksOfEcdh(const LeaksOfEcdh&) = delete;
  LeaksOfEcdh& operator=(const LeaksOfEcdh&) = delete;
};

}  // namespace jump
