#include "stream/splice.h"

namespace jump {

Splice::Splice(Io& io, std::unique_ptr<ByteStream> left, std::unique_ptr<ByteStream> right, Done done)
    : io_(io), done_(std::move(done)) {
  left_.splice = right_.splice = this;
  left_.other = &right_;
  right_.other = &left_;
  left_.stream = std::move(left);
  right_.stream = std::move(right);
}

void Splice::start() {
  left_.stream->set_handler(&left_);
  right_.stream->set_handler(&right_);
}

void Splice::abort() {
  if (!left_.ended) left_.stream->abort();
  if (!right_.ended) right_.stream->abort();
}

std::size_t Splice::Side::on_data_parts(std::span<const ByteView> parts) {
  std::size_t size = 0;
  for (ByteView part : parts) size += part.size();
  if (other->ended) return size;  // nobody to give it to; our own end is on its way
  std::size_t count = other->stream->write_parts(parts);
  sent_on += count;
  held = count < size;
  return count;
}

void Splice::Side::on_eof() {
  if (!other->ended) other->stream->shutdown_write();
}

void Splice::Side::on_writable() {
  if (!other->held) return;
  other->held = false;
  other->stream->resume_reading();
}

void Splice::Side::on_closed(const Error* error) { splice->side_ended(*this, error); }

void Splice::side_ended(Side& side, const Error* error) {
  side.ended = true;
  if (error && !error_) {
    error_ = *error;
    broke_left_ = &side == &left_;
  }
  if (side.other->ended) {
    linger_.reset();
    Done done = std::move(done_);
    if (done) done(error_ ? &*error_ : nullptr);
    return;
  }
  if (error) {
    side.other->stream->abort();
  } else {
    side.other->stream->close();
    linger_ = io_.timer([this] { abort(); });
    linger_->start(kLinger);
  }
}

}  // namespace jump
