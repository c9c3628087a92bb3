#include "loop/deferred.h"

#include <utility>

namespace jump {

void DeferredQueue::schedule(const std::shared_ptr<Task>& task) {
  if (closed_ || task->queued) return;
  task->queued = true;
  tasks_.push_back(task);
  if (tasks_.size() == 1) wake_();
}

void DeferredQueue::run() {
  running_.swap(tasks_);
  for (std::shared_ptr<Task>& entry : running_) {
    std::shared_ptr<Task> task = std::move(entry);
    task->queued = false;
    if (!task->cancelled) task->run();
  }
  running_.clear();
}

void DeferredQueue::close() {
  closed_ = true;
  // Dropping a task may destroy objects that schedule again: closed_ stops them.
  std::vector<std::shared_ptr<Task>> dropped = std::move(tasks_);
  tasks_.clear();
}

UvDeferred::UvDeferred(std::shared_ptr<DeferredQueue> queue, std::function<void()> run)
    : queue_(std::move(queue)), task_(std::make_shared<DeferredQueue::Task>()) {
  task_->run = std::move(run);
}

UvDeferred::~UvDeferred() { task_->cancelled = true; }

}  // namespace jump
