// What a failed login means for the next one.
#pragma once

#include "base/result.h"

namespace jump {

// Of the kind that passes by itself: an away server, a cut line. Anything else is a person's to mend, and
// trying again without one could lock an account.
inline bool mends_itself(const Error& error) {
  switch (error.code) {
    case Errc::kUnreachable:
    case Errc::kTimeout:
    case Errc::kClosed:
    case Errc::kProtocol:  // mostly a captive portal, or a proxy, that speaks in the server's place
      return true;
    default:
      return false;
  }
}

// A failure before the login had begun. A machine that is out of something (descriptors, processes) is no
// person's to mend, and nothing was tried that could lock an account.
inline Error before_login(Error error) {
  if (error.code == Errc::kLimit || error.code == Errc::kInternal) error.code = Errc::kUnreachable;
  return error;
}

}  // namespace jump
