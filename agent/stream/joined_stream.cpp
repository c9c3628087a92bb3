#include "stream/joined_stream.h"

#include <utility>

namespace jump {

JoinedStream::JoinedStream(std::unique_ptr<ByteStream> reading, std::unique_ptr<ByteStream> writing) {
  reading_.joined = writing_.joined = this;
  reading_.other = &writing_;
  writing_.other = &reading_;
  reading_.stream = std::move(reading);
  writing_.stream = std::move(writing);
}

void JoinedStream::set_handler(StreamHandler* handler) {
  handler_ = handler;
  reading_.stream->set_handler(handler ? &reading_ : nullptr);
  writing_.stream->set_handler(handler ? &writing_ : nullptr);
}

void JoinedStream::close() {
  if (!reading_.ended) reading_.stream->close();
  if (!writing_.ended) writing_.stream->close();
}

void JoinedStream::abort() {
  if (!reading_.ended) reading_.stream->abort();
  if (!writing_.ended) writing_.stream->abort();
}

std::size_t JoinedStream::Half::on_data(ByteView data) {
  return this == &joined->reading_ ? joined->handler_->on_data(data) : data.size();
}

void JoinedStream::Half::on_eof() {
  if (this == &joined->reading_) joined->handler_->on_eof();
}

void JoinedStream::Half::on_writable() {
  if (this == &joined->writing_) joined->handler_->on_writable();
}

void JoinedStream::Half::on_closed(const Error* error) {
  ended = true;
  if (error && !joined->error_) joined->error_ = *error;
  if (other->ended) return joined->handler_->on_closed(joined->error_ ? &*joined->error_ : nullptr);
  if (error) other->stream->abort();
}

}  // namespace jump
