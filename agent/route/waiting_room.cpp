#include "route/waiting_room.h"

#include <algorithm>
#include <utility>

namespace jump {

WaitingRoom::WaitingRoom(Io& io, WindowBudget& budget) : io_(io), budget_(budget) {
  soon_ = io_.deferred([this] { work(); });
  timer_ = io_.timer([this] { work(); });
}

WaitingRoom::~WaitingRoom() { end(Error{Errc::kClosed, "the agent is shutting down", {}}); }

std::size_t WaitingRoom::take(Mux& from) {
  if (from.opening_channels() == 0) return 0;
  if (!mux_)
    mux_ =
        std::make_shared<Mux>(static_cast<PacketSink*>(this), &budget_, io_.now(), nullptr, "waiting room");
  const std::size_t taken = from.move_openings(*mux_, Mux::Move::kToWait);
  plan();
  return taken;
}

std::size_t WaitingRoom::leave_for(Mux& to) {
  if (!mux_) return 0;
  const std::size_t moved = mux_->move_openings(to, Mux::Move::kOnwards);
  plan();
  return moved;
}

void WaitingRoom::refuse(const Error& error) {
  timer_->stop();
  std::shared_ptr<Mux> mux = std::exchange(mux_, nullptr);
  if (!mux) return;
  mux->fail(error);
  io_.dispose(std::move(mux));
}

void WaitingRoom::end(const Error& error) {
  timer_->stop();
  if (std::shared_ptr<Mux> mux = std::exchange(mux_, nullptr)) mux->fail(error);
}

void WaitingRoom::work() {
  if (!mux_) return;
  const std::shared_ptr<Mux> kept = mux_;  // whoever hears of an end may call refuse()
  kept->tick(io_.now());
  kept->pump(io_.now());
  if (mux_) plan();
}

// The slots of those who have left wait for answers that never come; they go with the last.
void WaitingRoom::plan() {
  if (mux_->opening_channels() == 0) {
    timer_->stop();
    return io_.dispose(std::exchange(mux_, nullptr));
  }
  timer_->start(std::max(mux_->next_deadline() - io_.now(), Duration(milliseconds(1))));
}

}  // namespace jump
