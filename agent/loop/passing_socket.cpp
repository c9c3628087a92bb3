#include "loop/passing_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/secret.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

bool is_stream_socket(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

}  // namespace

Result<std::unique_ptr<ByteStream>> PassingSocket::adopt(Loop& loop, Fd fd, Options options,
                                                         std::string description) {
  if (!is_stream_socket(fd.get())) return Error{Errc::kInvalid, description + ": not a stream socket", {}};
  std::unique_ptr<PassingSocket> self(
      new PassingSocket(loop, std::move(fd), options, std::move(description)));
  auto watch = loop.readiness()->watch(self->fd_.get(), self.get());
  if (!watch) return watch.error().context(self->description_);
  self->watch_ = *std::move(watch);
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (options.takes_descriptors && getsockopt(self->fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
    self->peer_process_ = peer.pid;
  return std::unique_ptr<ByteStream>(std::move(self));
}

PassingSocket::PassingSocket(Loop& loop, Fd fd, Options options, std::string description)
    : loop_(loop),
      fd_(std::move(fd)),
      options_(options),
      description_(std::move(description)),
      work_soon_(loop.deferred_queue(), [this] { work(); }) {}

PassingSocket::~PassingSocket() { drop_held(); }

void PassingSocket::drop_held() {
  if (options_.wipe_input) Secret(std::move(held_)).wipe();
  Bytes().swap(held_);
}

void PassingSocket::set_state(State next) {
  static constexpr const char* kNames[] = {"open", "lingering", "ending", "closed"};
  assert(next > state_);
  log::trace("{}: {} -> {}", description_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  state_ = next;
}

// An accepted socket's own name is its listener's, and the name of its client's peer.
bool PassingSocket::leads_to_same_listener(int fd) const {
  sockaddr_un own{}, its{};
  socklen_t own_size = sizeof(own), its_size = sizeof(its);
  if (getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&own), &own_size) != 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&its), &its_size) != 0)
    return false;
  const bool named = own.sun_family == AF_UNIX && own_size > offsetof(sockaddr_un, sun_path);
  return named && own_size == its_size && std::memcmp(&own, &its, own_size) == 0;
}

// --- what happens outside
// ---------------------------------------------------------------------------------------

void PassingSocket::on_ready(Readiness::Ready ready) {
  loop_.woke();
  readable_ |= ready.readable;
  writable_ |= ready.writable;
  peer_gone_ |= ready.hung_up;
  work();
}

// All that is due, from the loop. Each step may end the stream.
void PassingSocket::work() {
  if (state_ == State::kEnding && handler_) {
    set_state(State::kClosed);
    std::optional<Error> why = std::move(end_error_);
    return handler_->on_closed(why ? &*why : nullptr);
  }
  if (state_ >= State::kEnding) return;
  flush();
  if (handler_ && write_was_short_ && output_ == Output::kOpen && state_ == State::kOpen &&
      queue_.size() < kWriteQueueMax / 2) {
    write_was_short_ = false;
    handler_->on_writable();
  }
  if (handler_ && peer_gone_ && !gone_told_ && state_ == State::kOpen) {
    gone_told_ = true;
    handler_->on_peer_gone();
  }
  read_some();
  step_end();
}

// --- input
// -------------------------------------------------------------------------------------------------------

void PassingSocket::set_handler(StreamHandler* handler) {
  handler_ = handler;
  if (!handler) return;
  if (input_ == Input::kHeld) input_ = Input::kFlowing;
  work_soon_.schedule();
}

void PassingSocket::resume_reading() {
  if (input_ != Input::kHeld) return;
  input_ = Input::kFlowing;
  work_soon_.schedule();
}

void PassingSocket::read_some() {
  if (state_ == State::kOpen && handler_ && input_ == Input::kFlowing && !held_.empty()) offer_held();
  std::size_t left = kReadPerTurn;
  while (readable_ && left > 0 && state_ < State::kEnding && input_ != Input::kEnded) {
    const bool discards = state_ == State::kLingering;
    if (!discards && (!handler_ || input_ != Input::kFlowing || !held_.empty())) return;
    const ssize_t count = receive();
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      readable_ = false;
      return;
    }
    if (count < 0) return end(errno_error(description_));
    if (count == 0) return read_end();
    left -= std::min(left, static_cast<std::size_t>(count));
    const std::span<char> buffer = loop_.read_buffer().first(static_cast<std::size_t>(count));
    if (discards && (discarded_ += buffer.size()) > kDiscardMax && output_ == Output::kEnded)
      return end(std::nullopt);
    if (!discards) offer({reinterpret_cast<const std::uint8_t*>(buffer.data()), buffer.size()});
    if (options_.wipe_input) explicit_bzero(buffer.data(), buffer.size());
  }
  const bool discards = state_ == State::kLingering && output_ == Output::kEnded && input_ != Input::kEnded;
  const bool goes_on = discards || input_ == Input::kFlowing;
  if (readable_ && goes_on && state_ < State::kEnding) work_soon_.schedule();
}

ssize_t PassingSocket::receive() {
  const std::span<char> room = loop_.read_buffer();
  iovec data{room.data(), room.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (options_.takes_descriptors) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
  const ssize_t count = recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  passed_.clear();
  if (count < 0 || !options_.takes_descriptors) return count;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    std::vector<int> numbers((each->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(numbers.data(), CMSG_DATA(each), numbers.size() * sizeof(int));
    for (int number : numbers) passed_.emplace_back(number);
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0)
    log::warn("{}: not all descriptors that it passed could be taken", description_);
  return count;
}

void PassingSocket::offer(ByteView data) {
  // Pessimistic, so that a resume_reading() from within on_data() is seen afterwards.
  input_ = Input::kHeld;
  const std::size_t taken = handler_->on_data(data);
  assert(taken <= data.size());
  if (state_ != State::kOpen) return;
  if (taken < data.size()) {
    held_.assign(data.begin() + static_cast<std::ptrdiff_t>(taken), data.end());
    if (taken > 0) passed_.clear();
    return;
  }
  passed_.clear();
  if (input_ == Input::kHeld) input_ = Input::kFlowing;
}

void PassingSocket::offer_held() {
  Bytes offered = std::exchange(held_, {});
  offer(offered);
  if (options_.wipe_input) Secret(std::move(offered)).wipe();
}

void PassingSocket::read_end() {
  input_ = Input::kEnded;
  if (state_ == State::kOpen) handler_->on_eof();
}

// --- output
// ------------------------------------------------------------------------------------------------------

std::size_t PassingSocket::write(ByteView data) {
  if (state_ != State::kOpen || output_ != Output::kOpen) return 0;
  std::size_t done = queue_.empty() ? send_now(data) : 0;
  if (end_error_) return 0;
  const std::size_t room = kWriteQueueMax - std::min(kWriteQueueMax, queue_.size());
  const std::size_t count = std::min(data.size() - done, room);
  if (count > 0) queue_.append(data.subspan(done, count));
  done += count;
  if (done < data.size()) write_was_short_ = true;
  return done;
}

// What the kernel takes at once. A failure is told later.
std::size_t PassingSocket::send_now(ByteView data) {
  std::size_t done = 0;
  while (writable_ && done < data.size()) {
    const ssize_t count =
        send(fd_.get(), data.data() + done, data.size() - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      writable_ = false;
    } else if (errno != EINTR) {
      end(errno_error(description_));
      break;
    }
  }
  return done;
}

void PassingSocket::flush() {
  while (writable_ && !queue_.empty() && state_ < State::kEnding) {
    const std::size_t count = send_now(queue_.front());
    if (state_ < State::kEnding) queue_.consume(count);  // else nothing is queued any more
  }
  if (output_ == Output::kEndWanted && queue_.empty() && state_ < State::kEnding) {
    output_ = Output::kEnded;
    ::shutdown(fd_.get(), SHUT_WR);
  }
}

// --- ends
// ---------------------------------------------------------------------------------------------------------

void PassingSocket::shutdown_write() {
  if (state_ != State::kOpen || output_ != Output::kOpen) return;
  output_ = Output::kEndWanted;
  work_soon_.schedule();
}

void PassingSocket::close() {
  if (state_ != State::kOpen) return;
  set_state(State::kLingering);
  drop_held();
  if (output_ == Output::kOpen) output_ = Output::kEndWanted;
  work_soon_.schedule();
}

void PassingSocket::abort() {
  if (state_ >= State::kEnding) return;
  const linger reset{1, 0};  // of TCP; a Unix socket has no such thing
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  end(Error{Errc::kClosed, description_ + ": aborted", {}});
}

void PassingSocket::step_end() {
  if (state_ >= State::kEnding) return;
  const bool sent = output_ == Output::kEnded;
  if (input_ == Input::kEnded && (sent || peer_gone_)) {
    if (sent || queue_.empty()) return end(std::nullopt);
    return end(Error{Errc::kClosed, description_ + ": closed by the other side", {}});
  }
  if (state_ != State::kLingering || !sent || linger_) return;
  linger_ = std::make_unique<UvTimer>(loop_, [this] { end(std::nullopt); });
  linger_->start(kLingerMax);
}

// on_closed() comes from the loop.
void PassingSocket::end(std::optional<Error> why) {
  if (state_ >= State::kEnding) return;
  set_state(State::kEnding);
  end_error_ = std::move(why);
  if (end_error_ && end_error_->code == Errc::kInternal) end_error_->code = Errc::kClosed;
  linger_.reset();
  queue_.clear();
  passed_.clear();
  drop_held();
  watch_.reset();
  fd_.reset();
  work_soon_.schedule();
}

}  // namespace jump
