#include "loop/pool_work.h"

#include <utility>

namespace jump {

// Shared with libuv (`self`) until the work is done.
struct PoolWork::Request {
  uv_work_t uv{};
  std::function<void()> work;
  std::function<void()> done;
  std::shared_ptr<Request> self;
};

PoolWork::PoolWork(Loop& loop, std::function<void()> work, std::function<void()> done)
    : request_(std::make_shared<Request>()) {
  request_->work = std::move(work);
  request_->done = std::move(done);
  request_->uv.data = request_.get();
  request_->self = request_;
  // Fails only for a missing work callback.
  uv_queue_work(
      loop.raw(), &request_->uv, [](uv_work_t* uv) { static_cast<Request*>(uv->data)->work(); },
      [](uv_work_t* uv, int) {
        std::shared_ptr<Request> request = std::move(static_cast<Request*>(uv->data)->self);
        request->work =
            nullptr;  // what it captured goes on the loop's thread, before `done` looks at results
        std::function<void()> tell = std::move(request->done);
        request->done = nullptr;
        if (tell && !Loop::ending(uv->loop)) tell();
      });
}

PoolWork::~PoolWork() { request_->done = nullptr; }

}  // namespace jump
