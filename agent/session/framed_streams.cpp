#include "session/framed_streams.h"

#include <algorithm>
#include <utility>

#include "base/wire.h"

namespace jump {

// stdin, as the session reads it.
class FramedStreams::In final : public ByteStream {
 public:
  explicit In(FramedStreams& frames) : frames_(frames), tell_(frames.io_.deferred([this] { tell(); })) {}
  ~In() override { frames_.in_ = nullptr; }

  void set_handler(StreamHandler* handler) override {
    handler_ = handler;
    resume_reading();
    tell_->schedule();
  }
  std::size_t write(ByteView) override { return 0; }
  void resume_reading() override {
    if (frames_.connection_) frames_.connection_->resume_reading();
  }
  void shutdown_write() override {}
  void close() override { end(); }
  void abort() override { end(); }
  std::string describe() const override { return "stdin"; }

  // How many bytes the session took; all, once it reads no more.
  std::size_t offer(ByteView data) {
    if (ended_) return data.size();
    return handler_ ? handler_->on_data(data) : 0;
  }
  void end() {
    ended_ = true;
    tell_->schedule();
  }

 private:
  void tell() {
    if (!ended_ || told_ || !handler_) return;
    told_ = true;
    handler_->on_eof();
    if (handler_) handler_->on_closed(nullptr);
  }

  FramedStreams& frames_;
  const std::unique_ptr<Deferred> tell_;
  StreamHandler* handler_ = nullptr;
  bool ended_ = false, told_ = false;
};

// stdout or stderr, as the session writes it.
class FramedStreams::Out final : public ByteStream {
 public:
  Out(FramedStreams& frames, Frame type)
      : frames_(frames), type_(type), tell_(frames.io_.deferred([this] { tell(); })) {}
  ~Out() override { (type_ == Frame::kStdout ? frames_.out_ : frames_.err_) = nullptr; }

  void set_handler(StreamHandler* handler) override {
    handler_ = handler;
    if (ended_) tell_->schedule();
  }
  std::size_t write(ByteView data) override {
    if (ended_) return 0;
    std::size_t done = 0;
    while (done < data.size() && frames_.output_.size() < kQueueMax) {
      const std::size_t count = std::min(data.size() - done, kMaxFrame);
      frames_.put(type_, data.subspan(done, count));
      done += count;
    }
    wants_room_ |= done < data.size();
    return done;
  }
  void resume_reading() override {}
  void shutdown_write() override { end(); }
  void close() override { end(); }
  void abort() override { end(); }
  std::string describe() const override { return type_ == Frame::kStdout ? "stdout" : "stderr"; }

  void on_room() {
    if (std::exchange(wants_room_, false) && handler_) handler_->on_writable();
  }

 private:
  void end() {
    ended_ = true;
    tell_->schedule();
  }
  void tell() {
    if (ended_ && handler_) std::exchange(handler_, nullptr)->on_closed(nullptr);
  }

  FramedStreams& frames_;
  const Frame type_;
  const std::unique_ptr<Deferred> tell_;
  StreamHandler* handler_ = nullptr;
  bool wants_room_ = false, ended_ = false;
};

FramedStreams::FramedStreams(Io& io, Control on_control, Broken broken, Gone gone)
    : io_(io),
      on_control_(std::move(on_control)),
      broken_(std::move(broken)),
      gone_(std::move(gone)),
      room_soon_(io.deferred([this] { offer_room(); })) {}

FramedStreams::~FramedStreams() = default;

SessionStreams FramedStreams::take_streams() {
  auto in = std::make_unique<In>(*this);
  auto out = std::make_unique<Out>(*this, Frame::kStdout);
  auto err = std::make_unique<Out>(*this, Frame::kStderr);
  in_ = in.get();
  out_ = out.get();
  err_ = err.get();
  return {std::move(in), std::move(out), std::move(err)};
}

void FramedStreams::attach(std::unique_ptr<ByteStream> connection) {
  connection_ = std::move(connection);
  connection_->set_handler(this);
  flush();
  room_soon_->schedule();  // the connection has not been short of room yet
}

void FramedStreams::finish(std::string_view end_json) {
  if (finishing_) return;
  put(Frame::kEnd, as_bytes(end_json));
  finishing_ = true;
  if (connection_) connection_->resume_reading();  // stdin that nobody took is dropped
  flush();
}

// --- from the client
// ------------------------------------------------------------------------------------------------

std::size_t FramedStreams::on_data(ByteView data) {
  std::size_t done = 0;
  while (done < data.size()) {
    if (finishing_ || !broken_) return data.size();
    const std::size_t count = take(data.subspan(done));
    if (count == 0) break;
    done += count;
  }
  return done;
}

// A header's, or some of a payload's bytes; 0: the session does not take them now.
std::size_t FramedStreams::take(ByteView data) {
  if (left_ > 0) return on_payload(data.first(std::min(left_, data.size())));
  const std::size_t count = std::min(kHeader - header_.size(), data.size());
  header_.insert(header_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(count));
  if (header_.size() == kHeader) begin_frame();
  return count;
}

void FramedStreams::begin_frame() {
  const std::uint8_t type = header_[0];
  left_ = load_u32(&header_[1]);
  header_.clear();
  type_ = static_cast<Frame>(type);
  const bool known = type_ == Frame::kStdin || type_ == Frame::kStdinEnd || type_ == Frame::kResize ||
                     type_ == Frame::kSignal;
  if (!known) return break_off("a frame of type " + std::to_string(type));
  if (left_ > kMaxFrame) return break_off("a frame of " + std::to_string(left_) + " bytes");
  if (type_ == Frame::kStdinEnd && left_ > 0) return break_off("an end of stdin that is not empty");
  control_.clear();
  if (left_ == 0) end_frame();
}

std::size_t FramedStreams::on_payload(ByteView data) {
  std::size_t count = data.size();
  if (type_ == Frame::kStdin) {
    count = in_ ? in_->offer(data) : data.size();
  } else {
    control_ += as_text(data);
  }
  left_ -= count;
  if (left_ == 0) end_frame();
  return count;
}

void FramedStreams::end_frame() {
  if (type_ == Frame::kStdinEnd) {
    if (in_) in_->end();
  } else if (type_ != Frame::kStdin) {
    if (Status done = on_control_(type_, control_); !done) break_off(done.error().message);
  }
}

void FramedStreams::break_off(std::string message) {
  left_ = 0;
  const Error error{Errc::kProtocol, "the client broke the framing: " + std::move(message), {}};
  if (Broken broken = std::exchange(broken_, nullptr)) broken(error);
}

// The client sends no more: the end of stdin, unless a frame has said so before. The session goes on.
void FramedStreams::on_eof() {
  if (finishing_ || !broken_) return;
  if (!header_.empty() || left_ > 0) return break_off("its sending side ended within a frame");
  if (in_) in_->end();
}

// What it sent for a session that does not read is of no use: nobody is left to hear what comes of it.
void FramedStreams::on_peer_gone() { connection_->abort(); }

void FramedStreams::on_closed(const Error*) {
  if (Gone gone = std::exchange(gone_, nullptr)) gone();
}

// --- to the client
// --------------------------------------------------------------------------------------------------

void FramedStreams::put(Frame type, ByteView data) {
  if (finishing_) return;
  std::uint8_t header[kHeader] = {static_cast<std::uint8_t>(type)};
  store_u32(&header[1], static_cast<std::uint32_t>(data.size()));
  output_.append(header);
  output_.append(data);
  flush();
}

void FramedStreams::flush() {
  if (!connection_) return;
  while (!output_.empty()) {
    const ByteView run = output_.front();
    const std::size_t count = connection_->write(run);
    output_.consume(count);
    if (count < run.size()) return;
  }
  if (finishing_) connection_->close();
}

void FramedStreams::on_writable() {
  flush();
  offer_room();
}

void FramedStreams::offer_room() {
  if (output_.size() > kQueueMax / 2) return;
  if (out_) out_->on_room();
  if (err_) err_->on_room();
}

}  // namespace jump
