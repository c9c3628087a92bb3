// Where the control socket is: the same answer for agent and client.
//   --socket PATH, else $JUMPAGENT_SOCK, else $XDG_RUNTIME_DIR/jumpagent/control.sock,
//   else ${XDG_STATE_HOME:-~/.local/state}/jumpagent/control.sock
// An empty variable counts as unset, and a relative XDG directory is ignored (XDG Base Directory
// Specification).
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "base/result.h"

namespace jump::proto {

// sockaddr_un::sun_path without its final NUL; the smallest of the supported systems (macOS: 104 bytes,
// Linux: 108).
inline constexpr std::size_t kMaxSocketPath = 103;

// Answers like getenv(): nullptr when unset.
using Environment = std::function<const char*(const char* name)>;

// `flag` is the value of --socket, empty when it was not given; `home` is the user's home from the passwd
// database, used when $HOME is unset. Errors: kInvalid (too long for a Unix socket), kNotFound (no home
// directory).
Result<std::string> control_socket_path(const std::string& flag, const Environment& environment,
                                        const std::string& home);
// The same, from this process's environment.
Result<std::string> control_socket_path(const std::string& flag = {});

}  // namespace jump::proto
