// CommandQueue: child processes, only so many at a time; more wait for their turn, first come, first served.
//
//   run() ─► waiting ─► running (Io::run) ─► done
//
// A command's timeout begins when it is started. Invariant: never more than kMaxRunning children, and whoever
// gives up, waiting or running, makes room at once.
#pragma once

#include <cstddef>
#include <list>
#include <memory>

#include "stream/io.h"

namespace jump {

class CommandQueue {
 public:
  // Enough to keep every core of a laptop busy; a hundred hosts at once must not be a hundred processes.
  static constexpr std::size_t kMaxRunning = 8;

  explicit CommandQueue(Io& io);
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  // As Io::run(). The operation must not outlive this object.
  std::unique_ptr<Operation> run(Command command, Io::CommandDone done);

  std::size_t running() const { return running_; }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  class Place;

  void start_next();
  void ended();

  Io& io_;
  std::size_t running_ = 0;
  std::list<Place*> waiting_;  // each belongs to its asker
  std::unique_ptr<Deferred> start_soon_;
};

}  // namespace jump
