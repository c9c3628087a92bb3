// Changes the text of a user's file. A symlink is followed to the file, and stays; mode and owner stay.
// Whoever reads the file meanwhile sees all of the old or all of the new text.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jump::ctl {

inline constexpr std::size_t kMaxRewritten = 4 << 20;  // bytes; no file that a person writes is larger

using Rewrite = std::function<Result<std::string>(std::string_view text)>;

// True: it was written; false: it was so already. A file that is missing is empty, and made with mode 0600,
// its directory with 0700. Errors: those of `change`; kInvalid, kRefused, kInUse (somebody else changed it
// meanwhile).
Result<bool> rewrite_file(const std::string& path, const Rewrite& change);

}  // namespace jump::ctl
