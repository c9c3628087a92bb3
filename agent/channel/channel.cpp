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

void Channel::resume_extended() {
  if (mux_) mux_->resume_extended(number_);
}

Status Channel::request(std::string_view name, ByteView data, RequestReply reply) {
  if (!mux_) return Error{Errc::kClosed, describe_ + " has ended", {}};
  return mux_->request(number_, name, data, std::move(reply));
}

void Channel::abort() {
  if (mux_) mux_->abort(number_);
}

}  // namespace jump
