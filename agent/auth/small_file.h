// Reads a file of bounded size whole, into memory that is wiped when it goes. Blocks: for pool threads and
// tests.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace jump {

struct SmallFile {
  Secret content;
  uid_t owner = 0;
  mode_t mode = 0;  // type and permission bits, as st_mode
};

// Errors: kNotFound (no such file), kLimit (larger than `limit` bytes), kRefused (permission), kInvalid (not
// readable as a file). Messages are short reasons ("permission denied"): the caller names the path.
Result<SmallFile> read_small_file(const std::string& path, std::size_t limit);

}  // namespace jump
