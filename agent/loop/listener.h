// UvListener: accepts connections on one TCP endpoint (one or two sockets) or one Unix path and hands them
// out as StreamSockets. It watches the listening descriptor itself instead of using uv_listen(): out of
// descriptors, libuv accepts and drops what is waiting, while here connections stay in the kernel's backlog
// until there is room. Invariant: while accepting is paused nothing is polled, so a full descriptor table
// costs a timer, not a spin.
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/unix_listen_socket.h"
#include "stream/io.h"

namespace jump {

class UvListener final : public Listener {
 public:
  static Result<std::unique_ptr<Listener>> open(Loop& loop, const ListenOptions& options,
                                                Io::Accepted accepted);
  // The same on sockets that listen already, one or two. `owns_name`: of a Unix socket, it is removed with
  // the listener. Errors: kInvalid (they are not such sockets).
  static Result<std::unique_ptr<Listener>> adopt(Loop& loop, const ListenOptions& options,
                                                 std::vector<Fd> sockets, bool owns_name,
                                                 Io::Accepted accepted);
  ~UvListener() override;

  Endpoint local() const override { return local_; }
  ListenerStats stats() const override { return stats_; }
  std::vector<int> sockets() const override;
  void leave_name() override {
    if (unix_) unix_->leave_name();
  }

 private:
  // Others' events get their turn between batches.
  static constexpr int kAcceptsPerTurn = 64;
  // Descriptors come back when connections end, and nobody tells us: ask ten times a second.
  static constexpr milliseconds kRetryAfter{100};

  struct Block;

  UvListener(Loop& loop, Io::Accepted accepted);
  Status watch_all(const ListenOptions& options, std::vector<Fd> sockets);
  Status watch(Fd fd);
  void start_polling();
  void pause(int code);
  void accept_ready(Block& block);
  void try_again();
  std::unique_ptr<ByteStream> admit(Fd fd);

  Loop& loop_;
  std::shared_ptr<Io::Accepted> accepted_;  // may destroy this object
  Endpoint local_;
  bool own_user_only_ = false;
  bool takes_descriptors_ = false;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::unique_ptr<UnixListenSocket> unix_;  // keeps the name
  UvTimer retry_;
  ListenerStats stats_;
  std::uint64_t accepted_at_pause_ = 0;
};

}  // namespace jump
