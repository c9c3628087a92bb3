// Io: everything the agent asks of the outside world, as interfaces. `loop/` implements them over libuv; the
// simulation tests implement them over memory streams and a clock of their own. No type here knows either.
//
// Every callback runs on the loop thread, from the loop itself: never from inside the call that was given it.
// Objects returned here are owned by the caller; destroying one cancels it, and its callback is then never
// called.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "stream/byte_stream.h"

namespace jump {

// One-shot, restartable.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void start(Duration after) = 0;  // (re)starts
  virtual void stop() = 0;
};

// Work to be done soon, outside of whatever is going on now: any number of schedule() calls make one run, in
// the same loop turn or the next one.
class Deferred {
 public:
  virtual ~Deferred() = default;
  virtual void schedule() = 0;
};

// Something under way that can be given up: destroying it cancels.
class Operation {
 public:
  virtual ~Operation() = default;
};

// Where to connect or listen: a TCP host and port, or the path of a Unix socket (then host and port are
// unused).
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  std::string path;

  bool is_unix() const { return !path.empty(); }
  std::string to_string() const;  // "host:port", "[v6]:port", "/path"
  bool operator==(const Endpoint&) const = default;
};

enum class AddressFamily { kAny, kIpv4, kIpv6 };

struct DialOptions {
  Endpoint target;
  Duration timeout = seconds(30);  // for name lookup and all addresses together, all attempts included
  bool keep_alive = true;          // TCP keepalive probes
  Duration unanswered_max{};       // what we sent may stay unacknowledged so long; zero: the system's limit
  // Acknowledge what arrives at once. sshd leaves Nagle's algorithm on for forwarded connections: its next
  // small packet waits for our acknowledgement, which a kernel delays by 40 ms.
  bool quick_ack = false;
  // abort(), and the end of this process, end the connection as close() does, and the system repeats that
  // until the peer has it, for a minute or so: for peers whose protocol tells a break from an end. A reset is
  // sent once, and lost where the path is cut: the peer would keep what is ours, its listeners above all. While
  // the peer has not acknowledged it, and this process goes on, it is reset as soon as its address can be
  // connected to again.
  bool persistent_end = false;
  // --- TCP only ---
  AddressFamily family = AddressFamily::kAny;
  std::string bind_address{};          // the local address, or a name of it; empty: the system's choice
  std::string bind_interface{};        // the interface whose address is used; bind_address is preferred
  std::optional<int> traffic_class{};  // the TOS byte (IPv6: traffic class) of what we send
  int attempts = 1;                    // all addresses are tried so often, a second apart
};

struct ListenOptions {
  // host: "" or "localhost" (127.0.0.1, and ::1 if possible), "*" (all addresses), or a literal address; no
  // names. port 0: the system chooses.
  Endpoint at;
  int backlog = 1024;
  // Unix sockets: peers of another uid (but root) are turned away, and what they send is wiped once it was
  // offered. In any case the mode is 0600, and a stale name of our own user's is replaced.
  bool own_user_only = false;
  // Unix sockets: peers may pass descriptors (ByteStream::take_descriptors()), and a peer that has gone is
  // told from one that has shut down its sending side: on_closed() follows on_eof() at once.
  bool takes_descriptors = false;
};

struct ListenerStats {
  std::uint64_t accepted = 0;
  std::uint64_t turned_away = 0;  // peers of another uid
  std::uint64_t pauses = 0;       // times that accepting waited for a free descriptor
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Endpoint local()
      const = 0;  // as bound: a literal address with the port that the system chose, or a path
  virtual ListenerStats stats() const { return {}; }
  // Its descriptors, for another process that is to accept on them as well. They stay the listener's.
  virtual std::vector<int> sockets() const { return {}; }
  // Another process listens there: the name of a Unix socket stays when this goes.
  virtual void leave_name() {}
};

// A child process, run to its end. Output beyond the limit is an error.
struct Command {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
  Duration timeout = seconds(10);
  std::size_t output_limit = 1 << 20;  // bytes of stdout, and of stderr
};
struct CommandOutput {
  int exit_status = 0;  // 128 + N when signal N ended it
  std::string out;
  std::string err;
};

// A child process whose stdin and stdout are a stream.
struct StreamCommand {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
  std::string description;        // for messages: "ProxyCommand 'nc proxy 22'"
};

// What a descriptor that was passed to us is used for.
enum class DescriptorUse { kRead, kWrite, kBoth };

class Io {
 public:
  virtual ~Io() = default;

  virtual TimePoint now() const = 0;
  virtual std::unique_ptr<Timer> timer(std::function<void()> fire) = 0;
  virtual std::unique_ptr<Deferred> deferred(std::function<void()> run) = 0;

  // Looks the name up (off the loop thread) and tries its addresses. Errors: kUnreachable, kTimeout.
  using DialResult = std::function<void(Result<std::unique_ptr<ByteStream>>)>;
  virtual std::unique_ptr<Operation> dial(const DialOptions& options, DialResult done) = 0;

  // Bound and listening on return. Errors: kInUse, kInvalid, kRefused (not allowed), kUnreachable (no such
  // address), kNotFound (no such directory). `accepted` may destroy the listener.
  using Accepted = std::function<void(std::unique_ptr<ByteStream>)>;
  virtual Result<std::unique_ptr<Listener>> listen(const ListenOptions& options, Accepted accepted) = 0;

  // Errors: kNotFound (no such program), kTimeout, kLimit. stdin is /dev/null. Killed and reaped when
  // cancelled.
  using CommandDone = std::function<void(Result<CommandOutput>)>;
  virtual std::unique_ptr<Operation> run(const Command& command, CommandDone done) = 0;

  // The child runs when this returns, in a process group of its own, which is ended (asked, then killed) and
  // reaped with the stream. When it ends before the stream was closed or its write side shut down,
  // on_closed() says how, with its last words on stderr. Errors: kNotFound (no such program), kLimit.
  virtual Result<std::unique_ptr<ByteStream>> spawn_stream(const StreamCommand& command);

  // Somebody else's descriptor as a stream: a terminal, pipe, socket, file or device; kBoth: a connected
  // stream socket. Its owner sees no flag of it change, and it is closed with the stream. Of one that is used
  // in one direction, the other does not exist: after on_eof(), or shutdown_write(), on_closed() follows.
  // Errors: kInvalid (it is not open for that).
  virtual Result<std::unique_ptr<ByteStream>> adopt_descriptor(Fd fd, DescriptorUse use,
                                                               std::string description);

  // `work` runs on a pool thread and may block; then `done` on the loop thread. Cancelling only drops `done`:
  // `work` must own everything that it touches.
  virtual std::unique_ptr<Operation> in_pool(std::function<void()> work, std::function<void()> done) = 0;

  // Destroys `object` soon, from the loop itself: the way for a handler to let go of its own caller.
  virtual void dispose(std::shared_ptr<void> object) = 0;
};

}  // namespace jump
