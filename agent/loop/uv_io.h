// UvIo: the Io of the real world, over one Loop. It wires the parts of this folder and holds no state but the
// objects that wait for disposal.
//
// Order of destruction: whatever it made, then UvIo, then Loop. Objects that it made may outlive it, and even
// the Loop: see loop.h.
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"
#include "loop/deferred.h"
#include "loop/known_addresses.h"
#include "loop/loop.h"
#include "stream/io.h"

namespace jump {

class UvIo final : public Io {
 public:
  // Ignores SIGPIPE for the process: libuv writes with write(2), which would raise it. Children get the
  // default back.
  explicit UvIo(Loop& loop);
  ~UvIo() override;

  TimePoint now() const override;
  std::unique_ptr<Timer> timer(std::function<void()> fire) override;
  std::unique_ptr<Deferred> deferred(std::function<void()> run) override;
  std::unique_ptr<Operation> dial(const DialOptions& options, DialResult done) override;
  Result<std::unique_ptr<Listener>> listen(const ListenOptions& options, Accepted accepted) override;
  std::unique_ptr<Operation> run(const Command& command, CommandDone done) override;
  Result<std::unique_ptr<ByteStream>> spawn_stream(const StreamCommand& command) override;
  std::unique_ptr<Operation> in_pool(std::function<void()> work, std::function<void()> done) override;
  void dispose(std::shared_ptr<void> object) override;
  Result<std::unique_ptr<ByteStream>> adopt_descriptor(Fd fd, DescriptorUse use,
                                                       std::string description) override;

  // A connected socket that came from elsewhere (a passed descriptor, a socketpair). Takes over `fd` in any
  // case. Errors: kInvalid (not a stream socket).
  Result<std::unique_ptr<ByteStream>> adopt(int fd, std::string description);
  // Sockets that listen already: the next listen() at exactly `at` is by them. `owns_name`: of a Unix socket,
  // it is removed with the listener.
  void inherit(Endpoint at, std::vector<Fd> sockets, bool owns_name);
  // Those that nobody asked for are closed; how many there were.
  std::size_t drop_inherited();

 private:
  void dispose_all();

  struct Inherited {
    Endpoint at;
    std::vector<Fd> sockets;
    bool owns_name;
  };

  Loop& loop_;
  // Shared with dials, which may outlive this.
  const std::shared_ptr<KnownAddresses> known_addresses_ = std::make_shared<KnownAddresses>();
  std::vector<std::shared_ptr<void>> disposed_;
  UvDeferred disposal_;
  std::vector<Inherited> inherited_;
};

}  // namespace jump
