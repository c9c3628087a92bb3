#include "loop/signals.h"

#include <fmt/core.h>

#include <utility>

#include "loop/handle_block.h"
#include "loop/uv_error.h"

namespace jump {

struct Signals::Block : OwnedHandle<uv_signal_t, Signals> {
  std::shared_ptr<Arrived> arrived;  // may destroy the Signals
};

Result<std::unique_ptr<Signals>> Signals::watch(Loop& loop, std::initializer_list<int> numbers,
                                                Arrived arrived) {
  std::unique_ptr<Signals> signals(new Signals);
  auto shared = std::make_shared<Arrived>(std::move(arrived));
  for (int number : numbers) {
    auto block = std::make_shared<Block>();
    int status = uv_signal_init(loop.raw(), &block->uv);
    if (status < 0) return uv_error(status, "cannot watch signals");
    block->opened(block);
    block->owner = signals.get();
    block->arrived = shared;
    signals->blocks_.push_back(block);
    status = uv_signal_start(
        &block->uv,
        [](uv_signal_t* handle, int arrived_number) {
          auto* self = static_cast<Block*>(Block::of(handle));
          if (self->owner) (*self->arrived)(arrived_number);
        },
        number);
    if (status < 0) return uv_error(status, fmt::format("cannot watch signal {}", number));
    uv_unref(reinterpret_cast<uv_handle_t*>(&block->uv));
  }
  return signals;
}

Signals::~Signals() {
  for (const std::shared_ptr<Block>& block : blocks_) block->release();
}

}  // namespace jump
