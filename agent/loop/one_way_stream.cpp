#include "loop/one_way_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

bool is_ready(int fd, short events) {
  pollfd asked{fd, events, 0};
  return ::poll(&asked, 1, 0) == 1;
}

}  // namespace

Result<std::unique_ptr<ByteStream>> OneWayStream::make(Loop& loop, Fd* fd, DescriptorUse use, Kind kind,
                                                       std::string description) {
  std::unique_ptr<OneWayStream> self(new OneWayStream(loop, use, kind, std::move(description)));
  auto watch = loop.readiness()->watch(fd->get(), self.get());
  if (!watch) return watch.error().context(self->description_);
  self->watch_ = *std::move(watch);
  self->fd_ = std::move(*fd);
  return std::unique_ptr<ByteStream>(std::move(self));
}

OneWayStream::OneWayStream(Loop& loop, DescriptorUse use, Kind kind, std::string description)
    : loop_(loop),
      use_(use),
      kind_(kind),
      description_(std::move(description)),
      work_soon_(loop.deferred_queue(), [this] { work(); }) {}

void OneWayStream::set_state(State next) {
  static constexpr const char* kNames[] = {"open", "finishing", "ending", "closed"};
  assert(next > state_);
  log::trace("{}: {} -> {}", description_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  state_ = next;
}

void OneWayStream::on_ready(Readiness::Ready ready) {
  loop_.woke();
  ready_ |= use_ == DescriptorUse::kRead ? ready.readable : ready.writable;
  if (use_ == DescriptorUse::kWrite) hung_up_ |= ready.hung_up;
  work();
}

void OneWayStream::work() {
  if (state_ == State::kEnding && handler_) {
    set_state(State::kClosed);
    std::optional<Error> why = std::move(end_error_);
    return handler_->on_closed(why ? &*why : nullptr);
  }
  if (state_ >= State::kEnding) return;
  if (use_ == DescriptorUse::kRead) return read_some();
  flush();
  if (state_ == State::kFinishing && queue_.empty()) return end(std::nullopt);
  if (state_ < State::kEnding && hung_up_)
    return end(Error{Errc::kClosed, description_ + ": nobody reads it any more", {}});
  if (!handler_ || state_ != State::kOpen || !write_was_short_ || queue_.size() >= kQueueMax / 2) return;
  write_was_short_ = false;
  handler_->on_writable();
}

// --- input
// -------------------------------------------------------------------------------------------------------

void OneWayStream::set_handler(StreamHandler* handler) {
  handler_ = handler;
  if (!handler) return;
  held_back_ = false;
  work_soon_.schedule();
}

void OneWayStream::resume_reading() {
  if (!std::exchange(held_back_, false)) return;
  work_soon_.schedule();
}

void OneWayStream::read_some() {
  if (!handler_ || held_back_) return;
  if (!held_.empty()) {
    const Bytes offered = std::exchange(held_, {});
    offer(offered);
  }
  std::size_t left = kReadPerTurn;
  while (ready_ && left > 0 && state_ == State::kOpen && handler_ && !held_back_ && held_.empty()) {
    const std::span<char> room = loop_.read_buffer().first(std::min(left, loop_.read_buffer().size()));
    const ssize_t count = read_now(room.data(), room.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      ready_ = false;
      return;
    }
    if (count < 0 && errno != EIO) return end(errno_error(description_));
    if (count <= 0) {  // EIO: the terminal has hung up
      handler_->on_eof();
      return end(std::nullopt);
    }
    left -= static_cast<std::size_t>(count);
    offer({reinterpret_cast<const std::uint8_t*>(room.data()), static_cast<std::size_t>(count)});
  }
  if (ready_ && state_ == State::kOpen && handler_ && !held_back_) work_soon_.schedule();
}

void OneWayStream::offer(ByteView data) {
  // Pessimistic, so that a resume_reading() from within on_data() is seen afterwards.
  held_back_ = true;
  const std::size_t taken = handler_->on_data(data);
  assert(taken <= data.size());
  if (state_ != State::kOpen) return;
  if (taken < data.size()) {
    held_.assign(data.begin() + static_cast<std::ptrdiff_t>(taken), data.end());
  } else {
    held_back_ = false;
  }
}

ssize_t OneWayStream::read_now(void* to, std::size_t size) {
  if (kind_ == Kind::kSocket) return ::recv(fd_.get(), to, size, MSG_DONTWAIT);
  if (kind_ == Kind::kOwn) return ::read(fd_.get(), to, size);
  iovec part{to, size};
  if (nowait_works_) {
    const ssize_t count = preadv2(fd_.get(), &part, 1, -1, RWF_NOWAIT);
    if (count >= 0 || errno != EOPNOTSUPP) return count;
    nowait_works_ = false;
  }
  if (is_ready(fd_.get(), POLLIN)) return ::read(fd_.get(), to, size);
  errno = EAGAIN;
  return -1;
}

// --- output
// ------------------------------------------------------------------------------------------------------

std::size_t OneWayStream::write(ByteView data) {
  if (state_ != State::kOpen || use_ != DescriptorUse::kWrite) return 0;
  std::size_t done = queue_.empty() ? write_now(data) : 0;
  if (state_ != State::kOpen) return 0;
  const std::size_t room = kQueueMax - std::min(kQueueMax, queue_.size());
  const std::size_t count = std::min(data.size() - done, room);
  if (count > 0) queue_.append(data.subspan(done, count));
  done += count;
  if (done < data.size()) write_was_short_ = true;
  return done;
}

std::size_t OneWayStream::write_now(ByteView data) {
  std::size_t done = 0;
  while (ready_ && done < data.size()) {
    const ssize_t count = write_once(data.subspan(done));
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      ready_ = false;
    } else if (errno != EINTR) {
      end(errno_error(description_));
      break;
    }
  }
  return done;
}

ssize_t OneWayStream::write_once(ByteView data) {
  if (kind_ == Kind::kSocket) return ::send(fd_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (kind_ == Kind::kOwn) return ::write(fd_.get(), data.data(), data.size());
  if (nowait_works_) {
    iovec part{const_cast<std::uint8_t*>(data.data()), data.size()};
    const ssize_t count = pwritev2(fd_.get(), &part, 1, -1, RWF_NOWAIT);
    if (count >= 0 || errno != EOPNOTSUPP) return count;
    nowait_works_ = false;
  }
  if (is_ready(fd_.get(), POLLOUT))
    return ::write(fd_.get(), data.data(), std::min(data.size(), kSmallWrite));
  errno = EAGAIN;
  return -1;
}

void OneWayStream::flush() {
  while (ready_ && !queue_.empty() && state_ < State::kEnding) {
    const ByteView run = queue_.front();
    const std::size_t count = write_now(run);
    if (state_ < State::kEnding) queue_.consume(count);
  }
}

// --- ends
// ---------------------------------------------------------------------------------------------------------

void OneWayStream::shutdown_write() {
  if (use_ == DescriptorUse::kWrite) close();
}

void OneWayStream::close() {
  if (state_ != State::kOpen) return;
  if (use_ == DescriptorUse::kRead) return end(std::nullopt);
  set_state(State::kFinishing);
  work_soon_.schedule();
}

void OneWayStream::abort() { end(Error{Errc::kClosed, description_ + ": aborted", {}}); }

// The descriptor is closed now, on_closed() comes from the loop.
void OneWayStream::end(std::optional<Error> why) {
  if (state_ >= State::kEnding) return;
  set_state(State::kEnding);
  end_error_ = std::move(why);
  queue_.clear();
  Bytes().swap(held_);
  watch_.reset();
  fd_.reset();
  work_soon_.schedule();
}

}  // namespace jump
