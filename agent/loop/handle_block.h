// HandleBlock: the part of a wrapper that libuv may still point at after the wrapper is gone.
//
// uv_close() is asynchronous, so a C handle cannot live inside the C++ object that uses it. It lives in a
// block on the heap; wrapper and libuv share the block, and it is freed when both have let go. Callbacks go
// through the block's `owner`, which is nullptr from the moment the wrapper (or the loop) ends. Invariant:
// each handle is closed once, by close(), and nobody else frees it.
#pragma once

#include <uv.h>

#include <memory>
#include <utility>

namespace jump {

class HandleBlock {
 public:
  HandleBlock() = default;
  HandleBlock(const HandleBlock&) = delete;
  HandleBlock& operator=(const HandleBlock&) = delete;
  virtual ~HandleBlock() = default;

  // True from opened() until close(): only then may the handle be used.
  bool open() const { return handle_ != nullptr; }

  // Gives the handle back to libuv. Harmless when it is closed.
  void close() {
    uv_handle_t* handle = std::exchange(handle_, nullptr);
    if (!handle) return;
    uv_close(handle,
             [](uv_handle_t* closed) { std::shared_ptr<HandleBlock> last = std::move(of(closed)->self_); });
  }

  // The loop ends: no callback may reach the owner any more, and the handle goes, now or soon.
  virtual void on_loop_end() = 0;

  static HandleBlock* of(uv_handle_t* handle) { return static_cast<HandleBlock*>(handle->data); }

 protected:
  // To be called once, right after uv_X_init() succeeded.
  void opened(uv_handle_t* handle, std::shared_ptr<HandleBlock> self) {
    handle_ = handle;
    handle_->data = this;
    self_ = std::move(self);
  }

 private:
  uv_handle_t* handle_ = nullptr;
  std::shared_ptr<HandleBlock> self_;  // libuv's share
};

// The usual block: one handle, one owner.
template <class UvHandle, class Owner>
class OwnedHandle : public HandleBlock {
 public:
  UvHandle uv{};
  Owner* owner = nullptr;

  void opened(std::shared_ptr<HandleBlock> self) {
    HandleBlock::opened(reinterpret_cast<uv_handle_t*>(&uv), std::move(self));
  }
  // Ends the wrapper's share.
  void release() {
    owner = nullptr;
    close();
  }
  void on_loop_end() override { release(); }

  static OwnedHandle* of(UvHandle* handle) {
    return static_cast<OwnedHandle*>(HandleBlock::of(reinterpret_cast<uv_handle_t*>(handle)));
  }
};

}  // namespace jump
