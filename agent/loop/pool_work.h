// PoolWork: runs a function that may block on one of libuv's pool threads, then another one on the loop.
// Destroying it drops the second; the first runs in any case and must own everything that it touches.
#pragma once

#include <functional>
#include <memory>

#include "loop/loop.h"
#include "stream/io.h"

namespace jump {

class PoolWork final : public Operation {
 public:
  PoolWork(Loop& loop, std::function<void()> work, std::function<void()> done);
  ~PoolWork() override;

 private:
  struct Request;
  std::shared_ptr<Request> request_;
};

}  // namespace jump
