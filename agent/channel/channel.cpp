#include "channel/channel.h"

#include "channel/mux.h"

namespace jump {

Channel::~Channel() {
  if (mux_) mux_->abandon(number_);
}

void Channel::set_handler(StreamHandler* handler) {
  if (mux_) mux_->set_handler(number_, handler);
}

std::size_t Channel::write(ByteView data) { return mux_ ? mux_->write(number_, data) : 0; }

void Channel::resume_reading() {
  if (mux_) mux_->resume_reading(number_);
}

void Channel::shutdown_write() {
  if (mux_) mux_->shutdown_write(number_);
}

void Channel::close() {
  if (mux_) mux_->close(number_);
}

void Channel::forget_owner() {
  if (mux_) mux_->forget_owner(number_);
}

void Channel::abort() {
  if (mux_) mux_->abort(number_);
}

}  // namespace jump
