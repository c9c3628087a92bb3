#include "loop/readiness.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "loop/handle_block.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// Events of one turn; more come in the next one.
constexpr int kEventsPerTurn = 64;

}  // namespace

struct Readiness::Block : OwnedHandle<uv_poll_t, Readiness> {};

std::shared_ptr<Readiness> Readiness::make(Loop& loop) {
  std::shared_ptr<Readiness> self(new Readiness());
  self->epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  auto block = std::make_shared<Block>();
  if (!self->epoll_ || uv_poll_init(loop.raw(), &block->uv, self->epoll_.get()) < 0) {
    log::error("passed descriptors cannot be watched: {}", errno_error("epoll").message);
    return self;
  }
  block->opened(block);
  block->owner = self.get();
  self->block_ = std::move(block);
  uv_poll_start(&self->block_->uv, UV_READABLE, [](uv_poll_t* handle, int, int) {
    auto* ready = static_cast<Block*>(Block::of(handle));
    if (ready->owner) ready->owner->dispatch();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->block_->uv));  // no reason for the loop to go on
  return self;
}

Readiness::~Readiness() {
  if (block_) block_->release();
}

Result<std::unique_ptr<Readiness::Watch>> Readiness::watch(int fd, Watcher* watcher) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = ++last_id_;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    if (errno == EPERM) return Error{Errc::kUnsupported, "it cannot be waited for", {}};
    return errno_error("epoll");
  }
  watchers_.emplace(last_id_, watcher);
  return std::make_unique<Watch>(shared_from_this(), last_id_, fd);
}

void Readiness::forget(std::uint64_t id, int fd) {
  watchers_.erase(id);
  // It stays registered beyond close() while somebody else has the same open file.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Readiness::dispatch() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, 0);
  const std::shared_ptr<Readiness> self = shared_from_this();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto found = watchers_.find(event.data.u64);
    if (found == watchers_.end()) continue;  // forgotten by another's handler just now
    const bool hung_up = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
    found->second->on_ready({hung_up || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0,
                             hung_up || (event.events & EPOLLOUT) != 0, hung_up});
  }
}

}  // namespace jump
