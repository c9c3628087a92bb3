// WaitingRoom: channels that were asked for on a connection which then ended, before the server had answered.
// They wait here, with what their owners write meanwhile, for the host's next connection.
//
//   take(): from the connection that ends ─► here ─► leave_for(): the next one, which is asked anew
//                                              └── refuse(): there will be none
//
// It is a Mux whose packets go nowhere. Invariants: each channel hears one end or one confirmation, by the
// time that was set when it was first asked for, and is here no longer than its owner wants to wait
// (ChannelEvents::waits_until()); none that has data of the server's is ever here; all may leave.
#pragma once

#include <cstddef>
#include <memory>

#include "base/result.h"
#include "channel/mux.h"
#include "stream/io.h"

namespace jump {

class WaitingRoom final : private PacketSink {
 public:
  WaitingRoom(Io& io, WindowBudget& budget);
  ~WaitingRoom();
  WaitingRoom(const WaitingRoom&) = delete;
  WaitingRoom& operator=(const WaitingRoom&) = delete;

  // Those of `from` whose owners want to wait here (ChannelEvents::on_move). Returns how many.
  std::size_t take(Mux& from);
  // All whose owners agree are asked for there. Returns how many.
  std::size_t leave_for(Mux& to);
  // They hear that it was in vain.
  void refuse(const Error& error);
  // The same from the owner's destructor: nothing of them is left when it returns.
  void end(const Error& error);

  std::size_t size() const { return mux_ ? mux_->opening_channels() : 0; }
  bool is(const Mux& mux) const { return mux_.get() == &mux; }

 private:
  // PacketSink
  bool send_packet(ByteView, ByteView) override { return true; }
  bool has_room() const override { return true; }
  void wake() override { soon_->schedule(); }

  void work();
  void plan();

  Io& io_;
  WindowBudget& budget_;
  std::shared_ptr<Mux> mux_;  // while anybody waits
  std::unique_ptr<Deferred> soon_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace jump
