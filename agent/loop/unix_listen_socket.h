// UnixListenSocket: a bound and listening Unix socket together with its name in the file system.
//
// Mode 0600 from birth (the inode takes its mode from the descriptor's, so the process's umask stays alone).
// The name appears only when the socket listens (bind to a temporary name, listen, link). A name that exists
// is replaced if it is a socket of our own user that refuses connections: left over by a process that was
// killed. Anything else is in use. Invariant: the name is removed with this object, and only if it is still
// this very socket.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "loop/unix_path.h"

namespace jump {

class UnixListenSocket {
 public:
  // How long another process's lock on the directory is waited for, and so at most how long open() blocks: at
  // startup, and for a forward, while everything else stands still.
  static constexpr std::chrono::milliseconds kStartupPatience{200};
  static constexpr std::chrono::milliseconds kPatience{5};

  // Errors: kInUse, kInvalid (path), kRefused (permissions), kNotFound (no such directory).
  static Result<std::unique_ptr<UnixListenSocket>> open(const std::string& path, int backlog,
                                                        std::chrono::milliseconds patience = kPatience);
  // One that listens already. `owns_name`: it is removed with this object, as one of our own making.
  // Errors: kInvalid (not a listening Unix socket).
  static Result<std::unique_ptr<UnixListenSocket>> adopt(const std::string& path, Fd fd, bool owns_name);
  ~UnixListenSocket();

  // The name stays.
  void leave_name() { named_ = false; }

  Fd take_fd() { return std::move(fd_); }

 private:
  UnixListenSocket(UnixPath path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Status bind_and_listen(const std::string& name, int backlog);
  Status link_into_place(const std::string& temporary, std::chrono::milliseconds patience);
  Status clear_stale_name(std::chrono::milliseconds patience);

  UnixPath path_;
  Fd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool named_ = false;  // the final name is ours
};

}  // namespace jump
