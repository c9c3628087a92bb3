#include "loop/uv_io.h"

#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/fd.h"
#include "loop/child_process.h"
#include "loop/child_stream.h"
#include "loop/descriptor_stream.h"
#include "loop/dialer.h"
#include "loop/listener.h"
#include "loop/pool_work.h"
#include "loop/stream_socket.h"
#include "loop/timer.h"

namespace jump {

UvIo::UvIo(Loop& loop) : loop_(loop), disposal_(loop.deferred_queue(), [this] { dispose_all(); }) {
  std::signal(SIGPIPE, SIG_IGN);
}

UvIo::~UvIo() { dispose_all(); }

TimePoint UvIo::now() const { return loop_.now(); }

std::unique_ptr<Timer> UvIo::timer(std::function<void()> fire) {
  return std::make_unique<UvTimer>(loop_, std::move(fire));
}

std::unique_ptr<Deferred> UvIo::deferred(std::function<void()> run) {
  return std::make_unique<UvDeferred>(loop_.deferred_queue(), std::move(run));
}

std::unique_ptr<Operation> UvIo::dial(const DialOptions& options, DialResult done) {
  return std::make_unique<UvDial>(loop_, known_addresses_, options, std::move(done));
}

Result<std::unique_ptr<Listener>> UvIo::listen(const ListenOptions& options, Accepted accepted) {
  const auto found = std::find_if(inherited_.begin(), inherited_.end(),
                                  [&options](const Inherited& each) { return each.at == options.at; });
  if (found == inherited_.end()) return UvListener::open(loop_, options, std::move(accepted));
  Inherited taken = std::move(*found);
  inherited_.erase(found);
  return UvListener::adopt(loop_, options, std::move(taken.sockets), taken.owns_name, std::move(accepted));
}

void UvIo::inherit(Endpoint at, std::vector<Fd> sockets, bool owns_name) {
  inherited_.push_back({std::move(at), std::move(sockets), owns_name});
}

std::size_t UvIo::drop_inherited() { return std::exchange(inherited_, {}).size(); }

std::unique_ptr<Operation> UvIo::run(const Command& command, CommandDone done) {
  return std::make_unique<ChildProcess>(loop_, command, std::move(done));
}

Result<std::unique_ptr<ByteStream>> UvIo::spawn_stream(const StreamCommand& command) {
  return ChildStream::start(loop_, command);
}

std::unique_ptr<Operation> UvIo::in_pool(std::function<void()> work, std::function<void()> done) {
  return std::make_unique<PoolWork>(loop_, std::move(work), std::move(done));
}

void UvIo::dispose(std::shared_ptr<void> object) {
  disposed_.push_back(std::move(object));
  disposal_.schedule();
}

void UvIo::dispose_all() {
  // Destructors may dispose of more.
  while (!disposed_.empty()) {
    std::vector<std::shared_ptr<void>> now_gone = std::move(disposed_);
    disposed_.clear();
  }
}

Result<std::unique_ptr<ByteStream>> UvIo::adopt_descriptor(Fd fd, DescriptorUse use,
                                                           std::string description) {
  return adopt_passed(loop_, std::move(fd), use, std::move(description));
}

Result<std::unique_ptr<ByteStream>> UvIo::adopt(int fd, std::string description) {
  Fd owned(fd);
  int type = 0;
  int domain = 0;
  socklen_t length = sizeof(int);
  bool is_stream = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM &&
                   getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0;
  if (!is_stream) return Error{Errc::kInvalid, description + ": not a stream socket", {}};
  auto kind = domain == AF_UNIX ? SocketHandle::Kind::kUnix : SocketHandle::Kind::kTcp;
  Result<std::shared_ptr<SocketHandle>> handle = SocketHandle::adopt(loop_, kind, owned.release());
  if (!handle) return handle.error().context(description);
  return std::unique_ptr<ByteStream>(
      std::make_unique<StreamSocket>(loop_, *std::move(handle), std::move(description)));
}

}  // namespace jump
