// SocketWatch: looks every few seconds whether the control socket's name is still that of this agent's
// socket. One that was removed, with its directory perhaps, leaves an agent that nobody can reach: then the
// name is made anew, as soon as that can be.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "control/server.h"
#include "stream/io.h"

namespace jump {

class SocketWatch {
 public:
  static constexpr Duration kGap = seconds(2);

  // `server` listens there already. `anew` hears that it listens on another socket than before.
  SocketWatch(Io& io, ControlServer& server, std::string path, std::function<void()> anew);

 private:
  struct File {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const File&) const = default;
  };

  static File file_at(const std::string& path);
  void look();
  void restore();

  Io& io_;
  ControlServer& server_;
  const std::string path_;
  const std::function<void()> anew_;
  File ours_;
  std::string said_;  // the last failure, so that it is said once
  std::unique_ptr<Operation> looking_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace jump
