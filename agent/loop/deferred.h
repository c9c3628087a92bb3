// DeferredQueue and UvDeferred: work to be done soon, outside of whatever is going on now. The loop runs the
// queue before and after it waits for events; work that is scheduled meanwhile makes the next run, so a task
// that schedules itself does not keep the loop from its events. Invariant: a task is in the queue at most
// once; a task whose UvDeferred is gone never runs.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "stream/io.h"

namespace jump {

class DeferredQueue {
 public:
  struct Task {
    std::function<void()> run;
    bool queued = false;
    bool cancelled = false;
  };

  // `wake` is called when the queue stops being empty: the loop must not sleep then.
  explicit DeferredQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  void schedule(const std::shared_ptr<Task>& task);
  void run();
  bool empty() const { return tasks_.empty(); }
  // The loop ends: drops everything, and whatever comes later.
  void close();

 private:
  std::function<void()> wake_;
  std::vector<std::shared_ptr<Task>> tasks_;
  std::vector<std::shared_ptr<Task>> running_;  // kept for its capacity
  bool closed_ = false;
};

class UvDeferred final : public Deferred {
 public:
  UvDeferred(std::shared_ptr<DeferredQueue> queue, std::function<void()> run);
  ~UvDeferred() override;

  void schedule() override { queue_->schedule(task_); }

 private:
  std::shared_ptr<DeferredQueue> queue_;
  std::shared_ptr<DeferredQueue::Task> task_;  // shared with the queue: `run` may destroy this object
};

}  // namespace jump
