// Readiness: says when descriptors that are not ours alone can be read or written. libuv makes what it
// watches non-blocking, and that flag belongs to the open file: a shell that lent us its terminal would find
// it set. So these are watched by an epoll instance of our own, and libuv watches only that.
//
//   descriptor ─► epoll, edge-triggered ─► uv_poll ─► Watcher::on_ready()
//
// Edge-triggered: an event says that something has changed, and the owner goes on until the system says
// EAGAIN. Thus what nobody wants to read costs nothing, a hang-up included. Invariants: no watcher is called
// after its Watch has gone; a descriptor is forgotten before it is closed. One that outlives the loop is
// inert.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/fd.h"
#include "base/result.h"
#include "loop/loop.h"

namespace jump {

class Readiness : public std::enable_shared_from_this<Readiness> {
 public:
  struct Ready {
    bool readable = false;  // bytes, the end, or an error wait
    bool writable = false;  // there is room, or an error waits
    bool hung_up = false;   // nobody is at the other end any more
  };
  class Watcher {
   public:
    // From the loop. May destroy the Watch.
    virtual void on_ready(Ready ready) = 0;

   protected:
    ~Watcher() = default;
  };
  // One descriptor that is watched; it must be closed after this has gone.
  class Watch {
   public:
    Watch(std::shared_ptr<Readiness> readiness, std::uint64_t id, int fd)
        : readiness_(std::move(readiness)), id_(id), fd_(fd) {}
    ~Watch() { readiness_->forget(id_, fd_); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    const std::shared_ptr<Readiness> readiness_;
    const std::uint64_t id_;
    const int fd_;
  };

  static std::shared_ptr<Readiness> make(Loop& loop);
  ~Readiness();

  // `watcher` outlives the Watch. The first event, if the descriptor is ready already, comes from the loop.
  // Errors: kUnsupported (files and the like are always ready, and block), kLimit.
  Result<std::unique_ptr<Watch>> watch(int fd, Watcher* watcher);

 private:
  struct Block;
  Readiness() = default;
  void dispatch();
  void forget(std::uint64_t id, int fd);

  Fd epoll_;
  std::shared_ptr<Block> block_;
  std::unordered_map<std::uint64_t, Watcher*> watchers_;
  std::uint64_t last_id_ = 0;
};

}  // namespace jump
