// However a client's frames are pieced, and however much of them the session takes at a time, the session
// gets the same stdin and the same requests, and a break of the framing is told once. The first byte chooses
// the size of the pieces.
#include <algorithm>
#include <cstdlib>

#include "session/framed_streams.h"

namespace {

using jump::ByteStream;
using jump::ByteView;
using jump::FramedStreams;

// Work is done when run() is called, by nobody else.
class Turns final : public jump::Io {
 public:
  jump::TimePoint now() const override { return {}; }
  std::unique_ptr<jump::Timer> timer(std::function<void()>) override { return nullptr; }
  std::unique_ptr<jump::Deferred> deferred(std::function<void()> run) override {
    struct Later final : jump::Deferred {
      std::function<void()> run;
      void schedule() override {}
    };
    auto later = std::make_unique<Later>();
    later->run = std::move(run);
    return later;
  }
  std::unique_ptr<jump::Operation> dial(const jump::DialOptions&, DialResult) override { return nullptr; }
  jump::Result<std::unique_ptr<jump::Listener>> listen(const jump::ListenOptions&, Accepted) override {
    std::abort();
  }
  std::unique_ptr<jump::Operation> run(const jump::Command&, CommandDone) override { return nullptr; }
  std::unique_ptr<jump::Operation> in_pool(std::function<void()>, std::function<void()>) override {
    return nullptr;
  }
  void dispose(std::shared_ptr<void>) override {}
};

// The client's connection, by hand.
struct Connection final : ByteStream {
  jump::StreamHandler** handler;
  explicit Connection(jump::StreamHandler** where) : handler(where) {}
  void set_handler(jump::StreamHandler* to) override { *handler = to; }
  std::size_t write(ByteView data) override { return data.size(); }
  void resume_reading() override {}
  void shutdown_write() override {}
  void close() override {}
  void abort() override {}
  std::string describe() const override { return "fuzz"; }
};

struct Session final : jump::StreamHandler {
  std::string got;
  std::size_t appetite = 0;
  std::size_t on_data(ByteView data) override {
    const std::size_t count = std::min(appetite, data.size());
    if (data.empty()) std::abort();
    got += jump::as_text(data.first(count));
    return count;
  }
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const jump::Error*) override {}
};

struct Outcome {
  std::string input, control;
  int broken = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome run(ByteView text, std::size_t piece, std::size_t appetite) {
  Turns io;
  Outcome outcome;
  FramedStreams frames(
      io,
      [&outcome](FramedStreams::Frame type, std::string_view json) -> jump::Status {
        if (json.size() > FramedStreams::kMaxFrame) std::abort();
        outcome.control += std::to_string(static_cast<int>(type)) + std::string(json) + "\n";
        if (json == "bad") return jump::Error{jump::Errc::kInvalid, "bad", {}};
        return {};
      },
      [&outcome](const jump::Error&) { ++outcome.broken; }, [] {});
  jump::SessionStreams streams = frames.take_streams();
  Session session;
  session.appetite = appetite;
  streams.in->set_handler(&session);
  jump::StreamHandler* feed = nullptr;
  frames.attach(std::make_unique<Connection>(&feed));
  while (!text.empty()) {
    const std::size_t size = std::min(piece, text.size());
    std::size_t taken = 0;
    while (taken < size) {
      const std::size_t count = feed->on_data(text.subspan(taken, size - taken));
      if (count == 0 || count > size - taken) std::abort();  // the session takes at least a byte
      taken += count;
    }
    text = text.subspan(size);
  }
  outcome.input = session.got;
  if (outcome.broken > 1) std::abort();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece = std::size_t{data[0]} % 40 + 1, appetite = std::size_t{data[1]} % 40 + 1;
  const ByteView text(data + 2, size - 2);
  if (!(run(text, piece, appetite) == run(text, SIZE_MAX, SIZE_MAX))) std::abort();
  return 0;
}
