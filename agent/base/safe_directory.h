// Whether nobody but this user and root can say what is at a path in a directory: as sshd's StrictModes, for
// all that leads there. Each directory and symbolic link on the way has to be ours or root's, and a directory
// may be written to by its group or by others only if it is sticky (/tmp): there each one's files are its
// own.
#pragma once

#include <string>

#include "base/result.h"

namespace jump {

// Of a directory, by an absolute path. Blocks: file systems may be on a network. Errors: kInvalid (there is
// none), kRefused (the message names the part of the way that is somebody else's to change; the hint, if
// there is a cure, is it).
Status check_safe_directory(const std::string& directory);

}  // namespace jump
