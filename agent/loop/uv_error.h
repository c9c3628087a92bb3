// libuv's status codes as Errors and as the text that a Unix user knows ("Connection refused").
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace jump {

// `status` is libuv's (or a negated errno); always negative.
std::string uv_text(int status);
Errc uv_errc(int status);
// "WHAT: TEXT".
Error uv_error(int status, std::string_view what);
// The same for errno as it is now.
Error errno_error(std::string_view what);

}  // namespace jump
