#include "loop/stream_socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/secret.h"
#include "loop/lost_ends.h"
#include "loop/tcp_state.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

void drop(Bytes& bytes, bool wipe) {
  if (wipe) Secret(std::move(bytes)).wipe();
  Bytes().swap(bytes);
}

Bytes without_front(Bytes bytes, std::size_t count, bool wipe) {
  const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(count);
  if (!wipe) {
    bytes.erase(bytes.begin(), end);
    return bytes;
  }
  Bytes rest(end, bytes.end());
  drop(bytes, true);
  return rest;
}

}  // namespace

StreamSocket::StreamSocket(Loop& loop, std::shared_ptr<SocketHandle> handle, std::string description)
    : loop_(loop),
      handle_(std::move(handle)),
      description_(std::move(description)),
      deliver_(loop.deferred_queue(), [this] { deliver(); }) {
  handle_->owner = this;
  if (handle_->kind() == SocketHandle::Kind::kTcp) {
    int on = 1;
    setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    coalescer_.emplace(loop_, fd());
    reset_if_killed(true);
  }
}

// Whatever becomes of this process, an end that is none must not look like one: without this, the kernel ends
// the connections of a process that is killed in good order, half an answer or not.
void StreamSocket::reset_if_killed(bool on) {
  if (handle_->kind() != SocketHandle::Kind::kTcp || !handle_->resets) return;
  const linger now{on ? 1 : 0, 0};
  setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void StreamSocket::end_persistently() {
  reset_if_killed(false);
  handle_->resets = false;
  handle_->lost_ends = &loop_.lost_ends();
}

StreamSocket::~StreamSocket() {
  drop(held_, wipe_input_);
  coalescer_.reset();
  handle_->owner = nullptr;
  if (state_ == State::kLingering && queued() == 0 && handle_->resets) {
    reset_if_killed(false);
    handle_->close();  // all is with the kernel, which delivers it
  } else {
    handle_->close_with_reset();
  }
}

void StreamSocket::set_state(State next) {
  static constexpr const char* kNames[] = {"open", "lingering", "ending", "closed"};
  assert(next > state_);
  log::trace("{}: {} -> {}", description_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  state_ = next;
}

// --- input
// -------------------------------------------------------------------------------------------------------

void StreamSocket::set_handler(StreamHandler* handler) {
  handler_ = handler;
  if (handler_ && input_ == Input::kHeld) input_ = Input::kFlowing;
  if (handler_) deliver_.schedule();
  update_reading();
}

void StreamSocket::resume_reading() {
  if (input_ != Input::kHeld) return;
  input_ = Input::kFlowing;
  deliver_.schedule();
}

// Reads exactly when bytes have somewhere to go.
void StreamSocket::update_reading() {
  if (!usable()) return;
  bool wanted = state_ == State::kLingering ? input_ != Input::kEnded
                                            : handler_ && input_ == Input::kFlowing && held_.empty();
  if (!wanted) {
    uv_read_stop(handle_->stream());
    return;
  }
  int status = uv_read_start(
      handle_->stream(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        StreamSocket* self = SocketHandle::of(reinterpret_cast<uv_stream_t*>(handle))->owner;
        std::span<char> room = self ? self->loop_.read_buffer() : std::span<char>{};
        *buffer = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
      },
      on_read);
  if (status < 0 && status != UV_EALREADY) end(failure(status));
}

void StreamSocket::on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  StreamSocket* self = SocketHandle::of(stream)->owner;
  if (!self || count == 0) return;
  if (count < 0) return self->read_end(static_cast<int>(count));
  auto size = static_cast<std::size_t>(count);
  self->loop_.woke();
  if (self->coalescer_) self->coalescer_->on_read(size);
  if (self->quick_ack_ && size < kBulkRead) {
    int on = 1;
    setsockopt(self->fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
  }
  bool wipe = self->wipe_input_;  // the handler may destroy the socket
  if (self->state_ == State::kLingering) {
    self->discard(size);
  } else {
    self->read_bytes({reinterpret_cast<const std::uint8_t*>(buffer->base), size});
  }
  if (wipe) explicit_bzero(buffer->base, size);
}

void StreamSocket::read_bytes(ByteView data) {
  std::optional<std::size_t> taken = offer(data);
  if (!taken || *taken == data.size() || state_ != State::kOpen) return;
  held_.assign(data.begin() + static_cast<std::ptrdiff_t>(*taken), data.end());
  update_reading();
}

std::optional<std::size_t> StreamSocket::offer(ByteView data) {
  std::shared_ptr<SocketHandle> handle = handle_;
  // Pessimistic, so that a resume_reading() from within on_data() is seen afterwards.
  input_ = Input::kHeld;
  std::size_t taken = handler_->on_data(data);
  if (handle->owner != this) return std::nullopt;
  assert(taken <= data.size());
  if (taken == data.size() && input_ == Input::kHeld) input_ = Input::kFlowing;
  return taken;
}

void StreamSocket::deliver() {
  if (!handler_) return;
  if (state_ == State::kEnding) {
    set_state(State::kClosed);
    std::optional<Error> why = std::move(end_error_);
    handler_->on_closed(why ? &*why : nullptr);
    return;
  }
  if (state_ != State::kOpen || !usable()) return;
  if (input_ == Input::kFlowing && !held_.empty()) {
    std::shared_ptr<SocketHandle> handle = handle_;
    Bytes offered = std::move(held_);  // the handler may call anything here meanwhile
    held_.clear();
    bool wipe = wipe_input_;
    std::optional<std::size_t> taken = offer(offered);
    bool goes_on = taken && state_ == State::kOpen;
    // resume_reading() within on_data() has scheduled the next offer already.
    if (goes_on && *taken < offered.size()) {
      held_ = without_front(std::move(offered), *taken, wipe);
    } else {
      drop(offered, wipe);
    }
    if (!goes_on) return;
  }
  update_reading();
  if (handler_) tell_writable();
}

void StreamSocket::read_end(int status) {
  uv_read_stop(handle_->stream());
  // libuv calls a hang-up right behind the last bytes an end of file, a reset included. Only the socket
  // knows.
  if (status == UV_EOF) {
    int pending = 0;
    socklen_t length = sizeof(pending);
    if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &pending, &length) == 0 && pending != 0) status = -pending;
  }
  if (status != UV_EOF) {
    bool after_broken_write = output_ == Output::kBroken && end_error_.has_value();
    return end(after_broken_write ? end_error_ : failure(status));
  }
  input_ = Input::kEnded;
  if (output_ == Output::kBroken) return end(end_error_);
  if (state_ == State::kOpen) {
    std::shared_ptr<SocketHandle> handle = handle_;
    handler_->on_eof();
    if (handle->owner != this) return;
  }
  step_output();
}

// After close() input has nowhere to go; it is read so that the kernel does not answer it with a reset.
void StreamSocket::discard(std::size_t count) {
  discarded_ += count;
  if (discarded_ > kDiscardMax && output_ == Output::kEnded && unsent() == 0) end(std::nullopt);
}

// --- output
// ------------------------------------------------------------------------------------------------------

std::size_t StreamSocket::write_parts(std::span<const ByteView> parts) {
  if (state_ != State::kOpen || output_ != Output::kOpen || !usable()) return 0;
  std::size_t done = queued() == 0 ? write_now(parts) : 0;  // bytes that left, then those queued too
  std::size_t size = 0;
  for (ByteView part : parts) {
    const std::size_t start = size;
    size += part.size();
    if (done < start || done >= size) continue;  // something before it did not fit, or it is out already
    if (output_ == Output::kBroken) return 0;
    done += queue(part.subspan(done - start));
  }
  if (done < size) write_was_short_ = true;
  return output_ == Output::kBroken ? 0 : done;
}

// What the kernel takes at once.
std::size_t StreamSocket::write_now(std::span<const ByteView> parts) {
  std::array<uv_buf_t, kPartsMax> buffers;
  unsigned count = 0;
  for (ByteView part : parts.first(std::min(parts.size(), kPartsMax))) {
    if (part.empty()) continue;
    const std::size_t size = std::min<std::size_t>(part.size(), INT32_MAX);
    buffers[count++] = uv_buf_init(reinterpret_cast<char*>(const_cast<std::uint8_t*>(part.data())),
                                   static_cast<unsigned>(size));
  }
  if (count == 0) return 0;
  int status = uv_try_write(handle_->stream(), buffers.data(), count);
  if (status >= 0) return static_cast<std::size_t>(status);
  if (status != UV_EAGAIN) output_broke(status);
  return 0;
}

std::size_t StreamSocket::queue(ByteView data) {
  std::size_t count = std::min(data.size(), kWriteQueueMax - queued());
  if (count == 0) return 0;
  waiting_.insert(waiting_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(count));
  if (handle_->sending.empty()) send_waiting();
  return count;
}

void StreamSocket::send_waiting() {
  handle_->sending = std::move(waiting_);
  waiting_.clear();
  uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(handle_->sending.data()),
                                static_cast<unsigned>(handle_->sending.size()));
  handle_->write.data = handle_.get();
  int status = uv_write(&handle_->write, handle_->stream(), &buffer, 1, [](uv_write_t* request, int result) {
    auto* handle = static_cast<SocketHandle*>(request->data);
    Bytes().swap(handle->sending);
    if (handle->owner) handle->owner->written(result);
  });
  if (status < 0) {
    Bytes().swap(handle_->sending);
    output_broke(status);
  }
}

void StreamSocket::written(int status) {
  if (!usable()) return;
  if (status < 0) return output_broke(status);
  if (!waiting_.empty()) send_waiting();
  if (state_ == State::kOpen && handler_) {
    std::shared_ptr<SocketHandle> handle = handle_;
    tell_writable();
    if (handle->owner != this) return;
  }
  step_output();
}

void StreamSocket::tell_writable() {
  if (!write_was_short_ || output_ != Output::kOpen || queued() >= kWriteQueueMax / 2) return;
  write_was_short_ = false;
  handler_->on_writable();
}

// Moves our direction towards its end, and the whole stream when both have ended.
void StreamSocket::step_output() {
  if (!usable()) return;
  if (output_ == Output::kEndWanted && queued() == 0) {
    output_ = Output::kEnding;
    handle_->shutdown.data = handle_.get();
    int status = uv_shutdown(&handle_->shutdown, handle_->stream(), [](uv_shutdown_t* request, int result) {
      StreamSocket* self = static_cast<SocketHandle*>(request->data)->owner;
      if (!self || !self->usable()) return;
      if (result < 0) return self->output_broke(result);
      self->output_ = Output::kEnded;
      self->step_output();
    });
    if (status < 0) return output_broke(status);
  }
  if (output_ == Output::kEnded && input_ == Input::kEnded) end(std::nullopt);
}

void StreamSocket::output_broke(int status) {
  if (output_ == Output::kBroken || !usable()) return;
  output_ = Output::kBroken;
  end_error_ = failure(status);
  Bytes().swap(waiting_);
  if (state_ == State::kLingering || input_ == Input::kEnded) return end(end_error_);
  // What the peer sent before is still to be read; it will not be waited for without end.
  linger_ = std::make_unique<UvTimer>(loop_, [this] { linger_expired(); });
  linger_->start(kLingerMax);
}

// --- the end
// -----------------------------------------------------------------------------------------------------

void StreamSocket::shutdown_write() {
  if (state_ != State::kOpen || output_ != Output::kOpen || !usable()) return;
  output_ = Output::kEndWanted;
  step_output();
}

void StreamSocket::close() {
  if (state_ != State::kOpen || !usable()) return;
  set_state(State::kLingering);
  drop(held_, wipe_input_);
  if (output_ == Output::kBroken) return end(end_error_);
  if (output_ == Output::kOpen) output_ = Output::kEndWanted;
  last_unsent_ = unsent();
  linger_ = std::make_unique<UvTimer>(loop_, [this] { linger_expired(); });
  linger_->start(kLingerMax);
  update_reading();
  step_output();
}

void StreamSocket::linger_expired() {
  if (state_ == State::kOpen) return end(end_error_);  // after a broken write
  std::uint64_t left = unsent();
  bool moving = left > 0 && left < last_unsent_;
  // What we still hold is lost if we let go; what the kernel holds is not. A peer that pauses is the owner's
  // to judge.
  if (moving || output_ != Output::kEnded) {
    last_unsent_ = left;
    linger_->start(kLingerMax);
    return;
  }
  end(std::nullopt);
}

// Bytes on this side of the wire: ours, libuv's and the kernel's, the last including what is not
// acknowledged.
std::uint64_t StreamSocket::unsent() const {
  int in_kernel = 0;
  if (ioctl(fd(), SIOCOUTQ, &in_kernel) != 0 || in_kernel < 0) in_kernel = 0;
  return waiting_.size() + uv_stream_get_write_queue_size(handle_->stream()) +
         static_cast<std::uint64_t>(in_kernel);
}

std::string StreamSocket::condition() const { return handle_->open() ? tcp_condition(fd()) : std::string(); }

std::optional<Delivery> StreamSocket::delivery() const {
  return handle_->open() ? tcp_delivery(fd()) : std::nullopt;
}

void StreamSocket::abort() {
  if (state_ == State::kEnding || state_ == State::kClosed || !usable()) return;
  end(Error{Errc::kClosed, description_ + ": aborted", {}}, /*reset=*/true);
}

void StreamSocket::end(std::optional<Error> why, bool reset) {
  if (!usable()) return;
  set_state(State::kEnding);
  end_error_ = std::move(why);
  drop(held_, wipe_input_);
  Bytes().swap(waiting_);
  linger_.reset();
  coalescer_.reset();  // its timer must not meet a descriptor that is somebody else's by then
  if (reset || !handle_->resets) {
    handle_->close_with_reset();
  } else {
    reset_if_killed(false);
    handle_->close();
  }
  deliver_.schedule();
}

Error StreamSocket::failure(int status) const { return uv_error(status, description_); }

}  // namespace jump
