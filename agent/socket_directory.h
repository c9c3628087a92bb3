// The directory of the control socket: made if need be, and refused if others could put a socket of theirs
// there.
#pragma once

#include <string>

#include "base/result.h"

namespace jump {

// Makes the directory that `socket_path` lies in (mode 0700, parents too) or checks the one that is there: it
// belongs to us or to root, and nobody else may write to it (a sticky one, such as /tmp, is fine). One of the
// name `jumpagent`, ours alone, must be closed to others altogether, and what it lies in to the world, which could move it
// away. Errors: kRefused, with the way out.
Status prepare_socket_directory(const std::string& socket_path);

}  // namespace jump
