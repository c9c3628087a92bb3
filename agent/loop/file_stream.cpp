#include "loop/file_stream.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "loop/pool_work.h"
#include "loop/uv_error.h"

namespace jump {

FileStream::FileStream(Loop& loop, Fd fd, DescriptorUse use, std::string description)
    : loop_(loop),
      fd_(std::make_shared<Fd>(std::move(fd))),
      use_(use),
      description_(std::move(description)),
      work_soon_(loop.deferred_queue(), [this] { work(); }) {}

void FileStream::let_go(Loop& loop, std::shared_ptr<Fd> fd) {
  if (fd)
    PoolWork(
        loop, [fd = std::move(fd)]() mutable { fd.reset(); }, [] {});
}

void FileStream::set_handler(StreamHandler* handler) {
  handler_ = handler;
  if (!handler) return;
  held_back_ = false;
  work_soon_.schedule();
}

void FileStream::resume_reading() {
  if (std::exchange(held_back_, false)) work_soon_.schedule();
}

void FileStream::work() {
  if (state_ == State::kEnding && handler_) {
    state_ = State::kClosed;
    std::optional<Error> why = std::move(end_error_);
    return handler_->on_closed(why ? &*why : nullptr);
  }
  if (state_ >= State::kEnding || calling_) return;
  if (use_ == DescriptorUse::kRead) return begin_read();
  if (!queue_.empty()) return begin_write();
  if (state_ == State::kFinishing) return end(std::nullopt);
}

// --- input
// -------------------------------------------------------------------------------------------------------

void FileStream::begin_read() {
  if (!handler_ || held_back_) return;
  if (!held_.empty()) {
    const Bytes offered = std::exchange(held_, {});
    offer(offered);
    if (state_ != State::kOpen || held_back_ || !handler_) return;
    if (!held_.empty()) return work_soon_.schedule();  // it was asked to go on from within
  }
  call_ = std::make_shared<Call>();
  call_->fd = fd_;
  auto work = [call = call_] {
    call->bytes.resize(kPiece);
    do {
      call->result = ::read(call->fd->get(), call->bytes.data(), call->bytes.size());
    } while (call->result < 0 && errno == EINTR);
    call->code = errno;
    call->fd.reset();
  };
  calling_ = std::make_unique<PoolWork>(loop_, std::move(work), [this] { on_read(); });
}

void FileStream::on_read() {
  calling_.reset();
  const std::shared_ptr<Call> call = std::exchange(call_, nullptr);
  if (state_ >= State::kEnding) return;
  if (call->result < 0) return end(uv_error(-call->code, description_));
  if (call->result == 0) {
    if (handler_) handler_->on_eof();
    return end(std::nullopt);
  }
  call->bytes.resize(static_cast<std::size_t>(call->result));
  held_ = std::move(call->bytes);
  work();
}

void FileStream::offer(ByteView data) {
  held_back_ = true;  // pessimistic, so that a resume_reading() from within on_data() is seen afterwards
  const std::size_t taken = handler_->on_data(data);
  assert(taken <= data.size());
  if (taken < data.size()) {
    held_.assign(data.begin() + static_cast<std::ptrdiff_t>(taken), data.end());
  } else {
    held_back_ = false;
  }
}

// --- output
// ------------------------------------------------------------------------------------------------------

std::size_t FileStream::write(ByteView data) {
  if (state_ != State::kOpen || use_ != DescriptorUse::kWrite) return 0;
  const std::size_t room = 2 * kPiece - std::min(2 * kPiece, queue_.size());
  const std::size_t count = std::min(room, data.size());
  queue_.append(data.first(count));
  if (count < data.size()) write_was_short_ = true;
  work_soon_.schedule();
  return count;
}

void FileStream::begin_write() {
  call_ = std::make_shared<Call>();
  call_->fd = fd_;
  call_->bytes.resize(std::min(kPiece, queue_.size()));
  queue_.read(call_->bytes);
  auto work = [call = call_] {
    std::size_t done = 0;
    while (done < call->bytes.size()) {
      call->result = ::write(call->fd->get(), call->bytes.data() + done, call->bytes.size() - done);
      call->code = errno;
      if (call->result < 0 && call->code != EINTR) break;
      if (call->result > 0) done += static_cast<std::size_t>(call->result);
    }
    call->fd.reset();
  };
  calling_ = std::make_unique<PoolWork>(loop_, std::move(work), [this] { on_written(); });
}

void FileStream::on_written() {
  calling_.reset();
  const std::shared_ptr<Call> call = std::exchange(call_, nullptr);
  if (state_ >= State::kEnding) return;
  if (call->result < 0) return end(uv_error(-call->code, description_));
  if (handler_ && state_ == State::kOpen && queue_.size() <= kPiece && std::exchange(write_was_short_, false))
    handler_->on_writable();
  work();
}

void FileStream::shutdown_write() {
  if (use_ == DescriptorUse::kWrite) close();
}

void FileStream::close() {
  if (state_ != State::kOpen) return;
  if (use_ == DescriptorUse::kRead) return end(std::nullopt);
  state_ = State::kFinishing;
  work_soon_.schedule();
}

void FileStream::abort() { end(Error{Errc::kClosed, description_ + ": aborted", {}}); }

void FileStream::end(std::optional<Error> why) {
  if (state_ >= State::kEnding) return;
  state_ = State::kEnding;
  end_error_ = std::move(why);
  queue_.clear();
  Bytes().swap(held_);
  calling_.reset();
  let_go(loop_, std::move(fd_));
  work_soon_.schedule();
}

}  // namespace jump
