// UnixListenSocket: a bound and listening Unix socket together with its name in the file system.
//
// Mode 0600 from birth (the inode takes its mode from the descriptor's, so the process's umask stays alone).
// own_user_only also means: the name appears only when the socket listens (bind to a temporary name, listen,
// link), and a name left over by a process that is gone is replaced. A plain one is refused when the name
// exists, as ssh does. Invariant: the name is removed with this object, and only if it is still this very
// socket.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "base/fd.h"
#include "loop/unix_path.h"

namespace jump {

class UnixListenSocket {
 public:
  // Errors: kInUse, kInvalid (path), kRefused (permissions), kNotFound (no such directory).
  static Result<std::unique_ptr<UnixListenSocket>> open(const std::string& path, int backlog,
                                                        bool own_user_only);
  ~UnixListenSocket();

  Fd take_fd() { return std::move(fd_); }

 private:
  UnixListenSocket(UnixPath path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Status bind_and_listen(const std::string& name, int backlog);
  Status link_into_place(const std::string& temporary);
  Status clear_stale_name();

  UnixPath path_;
  Fd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool named_ = false;  // the final name is ours
};

}  // namespace jump
