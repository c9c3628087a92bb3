#include "loop/child_stream.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/log.h"
#include "base/printable.h"
#include "loop/uv_error.h"

namespace jump {

Result<std::unique_ptr<ByteStream>> ChildStream::start(Loop& loop, const StreamCommand& command) {
  std::unique_ptr<ChildStream> self(new ChildStream(loop, command));
  if (Status status = self->run(command); !status) return status.error().context(command.description);
  return std::unique_ptr<ByteStream>(std::move(self));
}

ChildStream::ChildStream(Loop& loop, const StreamCommand& command)
    : loop_(loop),
      description_(command.description),
      story_timer_(loop, [this] { tell(); }),
      last_bytes_timer_(loop, [this] { end_after_exit(); }) {}

Status ChildStream::run(const StreamCommand& command) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return errno_error("socketpair");
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  Fd stderr_end;
  auto errors = OutputPipe::make(loop_, &stderr_end);
  if (!errors) return errors.error();
  stderr_ = *std::move(errors);
  auto handle = SocketHandle::adopt(loop_, SocketHandle::Kind::kUnix, ours.release());
  if (!handle) return handle.error();
  socket_ = std::make_unique<StreamSocket>(loop_, *std::move(handle), description_);
  auto process = SpawnedProcess::start(loop_, command.argv, {theirs.get(), theirs.get(), stderr_end.get()},
                                       [this](int status) { on_exit(status); });
  if (!process) return process.error();
  process_ = *std::move(process);
  stderr_->read([this](std::string_view text) { on_stderr(text); },
                [this] {
                  stderr_.reset();
                  tell_if_known();
                });
  return {};
}

ChildStream::~ChildStream() {
  if (stderr_) stderr_->release();
  bool in_good_order = asked_ == Asked::kEnd || asked_ == Asked::kClose;
  if (process_)
    process_->release(in_good_order ? Duration(kGoodbyeMax) : Duration::zero(),
                      SpawnedProcess::Leftovers::kEndThem);
}

void ChildStream::set_handler(StreamHandler* handler) {
  handler_ = handler;
  socket_->set_handler(handler ? this : nullptr);
  if (handler_ && pending_ != Pending::kNothing) story_timer_.start(Duration::zero());
  if (handler_ && exit_status_) last_bytes_timer_.start(kLastBytesMax);
}

void ChildStream::shutdown_write() {
  if (asked_ == Asked::kNothing) asked_ = Asked::kEnd;
  socket_->shutdown_write();
}

void ChildStream::close() {
  if (asked_ < Asked::kClose) asked_ = Asked::kClose;
  if (pending_ != Pending::kNothing) story_timer_.start(Duration::zero());
  socket_->close();
}

void ChildStream::abort() {
  asked_ = Asked::kAbort;
  if (pending_ != Pending::kNothing) story_timer_.start(Duration::zero());
  socket_->abort();
}

// --- what happens
// ------------------------------------------------------------------------------------------------

std::size_t ChildStream::on_data(ByteView data) {
  said_anything_ = true;
  paused_ = true;  // before it, so that a resume_reading() from within on_data() is seen afterwards
  const std::size_t taken = handler_->on_data(data);
  if (taken == data.size()) paused_ = false;
  return taken;
}

void ChildStream::on_eof() {
  pending_ = Pending::kEof;
  story_timer_.start(kStoryMax);
  tell_if_known();
}

void ChildStream::on_closed(const Error* error) {
  if (error) socket_error_ = *error;
  pending_ = pending_ == Pending::kEof && !error ? Pending::kEofAndClosed : Pending::kClosed;
  story_timer_.start(asked_ >= Asked::kClose ? Duration::zero() : Duration(kStoryMax));
  tell_if_known();
}

void ChildStream::on_stderr(std::string_view text) {
  log::debug("{}: stderr: {}", description_, printable(text, kLastWordsMax));
  last_words_ += text;
  if (last_words_.size() > kLastWordsMax) last_words_.erase(0, last_words_.size() - kLastWordsMax);
}

void ChildStream::on_exit(int status) {
  exit_status_ = status;
  resumed_until_ = Clock::now() + kPausesMax;
  log::debug("{}: exit status {}", description_, status);
  if (handler_) last_bytes_timer_.start(kLastBytesMax);
  tell_if_known();
}

// Somebody else holds our pipe, or its stderr, and may do so for ever.
void ChildStream::end_after_exit() {
  if (!handler_) return;
  if (pending_ == Pending::kNothing && paused_) return last_bytes_timer_.start(kLastBytesMax);
  if (pending_ == Pending::kNothing) {
    socket_->set_handler(nullptr);
    socket_->abort();
    pending_ = Pending::kEofAndClosed;
  }
  tell();
}

// All is known once the process has ended and its last words have been read.
void ChildStream::tell_if_known() {
  if (pending_ != Pending::kNothing && exit_status_ && !stderr_) story_timer_.start(Duration::zero());
}

// Runs from the timer only, so that the handler may do as it likes.
void ChildStream::tell() {
  if (pending_ == Pending::kNothing || !handler_) return;
  Pending what = std::exchange(pending_, Pending::kNothing);
  std::optional<Error> why = asked_ == Asked::kNothing ? story() : std::nullopt;
  if (!why && what != Pending::kClosed) handler_->on_eof();
  if (!why && what == Pending::kEof) return;
  StreamHandler* handler = std::exchange(handler_, nullptr);
  if (what == Pending::kEof) socket_->set_handler(nullptr);  // this was the last call
  if (!why) why = socket_error_;
  handler->on_closed(why ? &*why : nullptr);
}

// Why it ended; nothing while the process is still there.
std::optional<Error> ChildStream::story() const {
  if (!exit_status_) return std::nullopt;
  std::string how = *exit_status_ > 128 ? fmt::format("was ended by signal {}", *exit_status_ - 128)
                                        : fmt::format("exited with status {}", *exit_status_);
  std::string said = last_words();
  return Error{said_anything_ ? Errc::kClosed : Errc::kUnreachable,
               fmt::format("{} {}{}{}", description_, how, said.empty() ? "" : ": ", said),
               {}};
}

// The last lines of stderr as one: "nc: proxy refused; giving up".
std::string ChildStream::last_words() const {
  std::vector<std::string> lines;
  std::string_view rest = last_words_;
  while (!rest.empty()) {
    auto end = rest.find_first_of("\r\n");
    if (std::string_view line = rest.substr(0, end); !line.empty()) {
      lines.push_back(printable(line, kLastWordsMax));
    }
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  std::string text;
  for (std::size_t i = lines.size() - std::min(lines.size(), kLastLines); i < lines.size(); ++i) {
    text += (text.empty() ? "" : "; ") + lines[i];
  }
  return text;
}

}  // namespace jump
