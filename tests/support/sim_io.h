// SimIo: an Io of memory streams and a clock of its own, for deterministic tests. Nothing happens but in
// settle() and advance(); every callback comes from there, in the order in which it was caused.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/byte_queue.h"
#include "stream/io.h"

namespace jump::test {

class SimIo final : public Io {
 public:
  // What one side of a memory stream may have under way before write() takes no more.
  static constexpr std::size_t kPipeSize = 64 * 1024;

  SimIo();
  ~SimIo() override;

  // --- Io ---
  TimePoint now() const override { return now_; }
  std::unique_ptr<Timer> timer(std::function<void()> fire) override;
  std::unique_ptr<Deferred> deferred(std::function<void()> run) override;
  std::unique_ptr<Operation> dial(const DialOptions& options, DialResult done) override;
  Result<std::unique_ptr<Listener>> listen(const ListenOptions& options, Accepted accepted) override;
  std::unique_ptr<Operation> run(const Command& command, CommandDone done) override;
  std::unique_ptr<Operation> in_pool(std::function<void()> work, std::function<void()> done) override;
  void dispose(std::shared_ptr<void> object) override;

  // --- the test's side ---
  // Runs until nothing is left to do at this moment.
  void settle();
  // Lets time pass; timers fire in their order.
  void advance(Duration by);
  // Two ends of one stream.
  std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> pipe();
  // From now on all streams have room for so much, instead of kPipeSize.
  void set_pipe_size(std::size_t size) { pipe_size_ = size; }
  // Connects to whatever listens at `endpoint` ("host:port" or a path); null when nobody does.
  std::unique_ptr<ByteStream> connect(const std::string& endpoint);
  // What dial() of `endpoint` meets: called with the far end of the new stream. Unknown endpoints refuse.
  void on_dial(const std::string& endpoint, std::function<void(std::unique_ptr<ByteStream>)> accept);
  // What run() answers for a program (argv[0]).
  void on_command(const std::string& program, std::function<Result<CommandOutput>(const Command&)> answer);
  // What all streams say of their delivery(); nothing until then.
  void on_delivery(std::function<Delivery()> delivery) { delivery_ = std::move(delivery); }
  // Soon, from settle().
  void post(std::function<void()> event);

 private:
  friend class SimTimer;
  friend class SimListener;
  friend class SimStream;

  TimePoint now_;
  std::size_t pipe_size_ = kPipeSize;
  std::function<Delivery()> delivery_;
  std::multimap<TimePoint, class SimTimer*> timers_;
  std::deque<std::function<void()>> events_;
  std::map<std::string, class SimListener*> listeners_;
  std::map<std::string, std::function<void(std::unique_ptr<ByteStream>)>> services_;
  std::map<std::string, std::function<Result<CommandOutput>(const Command&)>> commands_;
  std::deque<std::shared_ptr<void>> disposed_;
};

// A handler that collects what comes and remembers how it ended.
class Collector final : public StreamHandler {
 public:
  explicit Collector(ByteStream& stream) : stream_(stream) { stream.set_handler(this); }

  std::size_t on_data(ByteView data) override;
  void on_eof() override { eof = true; }
  void on_writable() override { writable++; }
  void on_closed(const Error* why) override {
    closed = true;
    if (why) error = *why;
  }

  // Takes at most this much from now on; more than 0 takes up reading again.
  void set_appetite(std::size_t bytes);

  std::string received;
  bool eof = false;
  bool closed = false;
  int writable = 0;
  std::optional<Error> error;

 private:
  ByteStream& stream_;
  std::size_t appetite_ = SIZE_MAX;
};

}  // namespace jump::test
