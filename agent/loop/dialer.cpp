#include "loop/dialer.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <utility>

#include "loop/lost_ends.h"
#include "loop/stream_socket.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// A dead path is noticed after kIdle + kProbes * kInterval, some two minutes.
constexpr int kKeepAliveIdle = 60;      // s
constexpr int kKeepAliveInterval = 15;  // s
constexpr int kKeepAliveProbes = 4;
// Bytes that TCP holds and has not sent: enough to keep it busy, too little to delay a keystroke.
constexpr int kUnsentMax = 128 * 1024;

// From Linux 6.15 on: TCP's pauses between its tries at a path that is cut double no further, so that it is
// used soon after it is back. Elsewhere the option is unknown, and nothing is lost.
constexpr int kTcpRtoMaxMs = 44;  // TCP_RTO_MAX_MS
constexpr int kLongestPause = 2000;

void tune(int fd, int family, const DialOptions& options) {
  auto set = [fd](int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof(value)); };
  set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentMax);
  if (options.traffic_class) {
    if (family == AF_INET6) {
      set(IPPROTO_IPV6, IPV6_TCLASS, *options.traffic_class);
    } else {
      set(IPPROTO_IP, IP_TOS, *options.traffic_class);
    }
  }
#ifdef TCP_USER_TIMEOUT
  const auto unanswered = std::chrono::duration_cast<milliseconds>(options.unanswered_max).count();
  if (unanswered > 0) {
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(std::min<std::int64_t>(unanswered, INT_MAX)));
    set(IPPROTO_TCP, kTcpRtoMaxMs, kLongestPause);
  }
#endif
  if (!options.keep_alive) return;
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdle);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

// The resolver's order, with families taking turns (RFC 8305, section 4).
std::vector<SocketAddress> interleaved(const addrinfo* list) {
  std::deque<SocketAddress> first, other;
  for (; list; list = list->ai_next) {
    if (list->ai_family != AF_INET && list->ai_family != AF_INET6) continue;
    SocketAddress address = SocketAddress::from(list->ai_addr, list->ai_addrlen);
    bool same = first.empty() || first.front().family() == address.family();
    (same ? first : other).push_back(address);
  }
  std::vector<SocketAddress> result;
  while (!first.empty() || !other.empty()) {
    for (std::deque<SocketAddress>* queue : {&first, &other}) {
      if (queue->empty()) continue;
      result.push_back(queue->front());
      queue->pop_front();
    }
  }
  return result;
}

std::string seconds_text(Duration d) { return fmt::format("{:g} s", to_seconds(d)); }

}  // namespace

// Shared with libuv (`self`) until the lookup is over.
struct UvDial::Lookup {
  uv_getaddrinfo_t uv{};
  UvDial* owner = nullptr;
  std::string name;
  Found found = nullptr;
  std::shared_ptr<Lookup> self;
};

UvDial::UvDial(Loop& loop, std::shared_ptr<KnownAddresses> known, const DialOptions& options,
               Io::DialResult done)
    : loop_(loop),
      known_(std::move(known)),
      options_(options),
      host_(options.target.host.empty() ? "localhost" : options.target.host),
      done_(std::move(done)),
      deadline_(loop, [this] { finish(timeout_error()); }),
      again_(loop, [this] { try_again(); }),
      continue_(loop.deferred_queue(), [this] { start(); }) {
  deadline_.start(options_.timeout);
  continue_.schedule();
}

UvDial::~UvDial() { cancel_all(); }

void UvDial::start() {
  if (options_.target.is_unix()) return connect_unix();
  const std::string& bind = options_.bind_address;
  if (!bind.empty() && !SocketAddress::parse(bind, 0)) return look_up(bind, &UvDial::source_looked_up);
  auto source = DialSource::find(bind, options_.bind_interface);
  if (!source) return finish(source.error().context("cannot connect to " + host_));
  source_ = *std::move(source);
  find_addresses();
}

void UvDial::find_addresses() {
  std::uint16_t port = options_.target.port;
  if (std::optional<SocketAddress> literal = SocketAddress::parse(host_, port)) return race({*literal});
  // RFC 6761: localhost is this machine, whatever a resolver says, and needs none.
  if (host_ == "localhost") {
    return race({*SocketAddress::parse("::1", port), *SocketAddress::parse("127.0.0.1", port)});
  }
  again_.start(kAnew);
  look_up(host_, &UvDial::host_looked_up);
}

// --- names
// -------------------------------------------------------------------------------------------------------

void UvDial::look_up(const std::string& name, Found found) {
  lookup_ = std::make_shared<Lookup>();
  lookup_->owner = this;
  lookup_->name = name;
  lookup_->found = found;
  lookup_->self = lookup_;
  lookup_->uv.data = lookup_.get();
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  int status = uv_getaddrinfo(
      loop_.raw(), &lookup_->uv,
      [](uv_getaddrinfo_t* uv, int result, addrinfo* list) {
        std::shared_ptr<Lookup> lookup = std::move(static_cast<Lookup*>(uv->data)->self);
        if (lookup->owner && !Loop::ending(uv->loop)) (lookup->owner->*lookup->found)(result, list);
        uv_freeaddrinfo(list);
      },
      name.c_str(), nullptr, &hints);
  if (status == 0) return;
  lookup_->self.reset();
  (this->*found)(status, nullptr);
}

void UvDial::source_looked_up(int status, const addrinfo* list) {
  lookup_.reset();
  source_ = DialSource::of(interleaved(list));
  if (source_.fits(AF_INET) || source_.fits(AF_INET6)) return find_addresses();
  finish(Error{Errc::kUnreachable,
               fmt::format("cannot resolve BindAddress {}: {}", options_.bind_address,
                           status < 0 ? uv_text(status) : "it has no address"),
               {}});
}

void UvDial::host_looked_up(int status, const addrinfo* list) {
  lookup_.reset();
  if (status == UV_EAI_NONAME || status == UV_EAI_NODATA) known_->forget(host_);
  // A resolver that cannot be asked says nothing about the address that was right the last time.
  if ((status == UV_EAI_AGAIN || status == UV_EAI_FAIL) && (!addresses_.empty() || race_known())) return;
  if (status < 0) {
    return finish(
        Error{Errc::kUnreachable, fmt::format("cannot resolve {}: {}", host_, uv_text(status)), {}});
  }
  std::vector<SocketAddress> addresses = interleaved(list);
  for (SocketAddress& address : addresses) address.set_port(options_.target.port);
  if (addresses.empty()) {
    return finish(Error{Errc::kUnreachable, fmt::format("cannot resolve {}: it has no address", host_), {}});
  }
  race(std::move(addresses));
}

// --- its addresses
// -----------------------------------------------------------------------------------------------

void UvDial::race(std::vector<SocketAddress> addresses) {
  int wanted = options_.family == AddressFamily::kIpv4   ? AF_INET
               : options_.family == AddressFamily::kIpv6 ? AF_INET6
                                                         : AF_UNSPEC;
  std::erase_if(addresses, [this, wanted](const SocketAddress& address) {
    return (wanted != AF_UNSPEC && address.family() != wanted) || !source_.fits(address.family());
  });
  if (addresses.empty()) {
    return finish(
        Error{Errc::kUnreachable,
              fmt::format("{} has no address that AddressFamily, BindAddress and BindInterface allow", host_),
              {}});
  }
  if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
  addresses_ = std::move(addresses);
  race_again();
}

bool UvDial::race_known() {
  const std::optional<SocketAddress> known = known_->find(host_);
  if (!known) return false;
  SocketAddress address = *known;
  address.set_port(options_.target.port);
  const bool wanted = (options_.family != AddressFamily::kIpv4 || address.family() == AF_INET) &&
                      (options_.family != AddressFamily::kIpv6 || address.family() == AF_INET6);
  if (!wanted || !source_.fits(address.family())) return false;
  race({address});
  return true;
}

void UvDial::race_again() {
  --attempts_left_;
  failures_.clear();
  untried_.assign(addresses_.begin(), addresses_.end());
  next_address();
}

// The timer: a staggered address, another attempt with all of them, or room in a backlog.
void UvDial::try_again() {
  if (options_.target.is_unix()) return connect_unix();
  if (lookup_ && addresses_.empty()) {
    (void)race_known();
    return;
  }
  if (untried_.empty() && attempts_.empty()) return race_again();
  if (untried_.empty()) {
    // TCP's own next try may be many seconds away, and a path that was cut be back meanwhile.
    while (attempts_.size() > (kRounds - 1) * addresses_.size()) drop(attempts_.front().get());
    untried_.assign(addresses_.begin(), addresses_.end());
  }
  next_address();
}

void UvDial::next_address() {
  while (!untried_.empty()) {
    auto attempt = std::make_unique<Attempt>();
    attempt->dial = this;
    attempt->address = untried_.front();
    untried_.pop_front();
    attempt->handle = SocketHandle::make(loop_, SocketHandle::Kind::kTcp);
    SocketHandle& handle = *attempt->handle;
    handle.connect.data = attempt.get();
    int status = 0;
    if (const SocketAddress* from = source_.of(attempt->address.family())) {
      status = uv_tcp_bind(handle.tcp(), from->get(), 0);
    }
    if (status == 0) {
      status = uv_tcp_connect(&handle.connect, handle.tcp(), attempt->address.get(),
                              [](uv_connect_t* request, int result) {
                                auto* self = static_cast<Attempt*>(request->data);
                                if (self) self->dial->connected(self, result);
                              });
    }
    if (status == 0) {
      attempts_.push_back(std::move(attempt));
      again_.start(untried_.empty() ? kAnew : kStagger);
      return;
    }
    handle.connect.data = nullptr;
    handle.close();
    note_failure(attempt->address.to_string(), status);
  }
  if (!attempts_.empty() || lookup_) return again_.start(kAnew);
  if (!options_.target.is_unix() && attempts_left_ > 0) return again_.start(kAttemptGap);
  finish(failure_error());
}

void UvDial::connect_unix() {
  const std::string& path = options_.target.path;
  if (!path_) {
    Result<UnixPath> opened = UnixPath::open(path);
    if (!opened) return finish(opened.error().context("cannot connect to " + path));
    path_.emplace(*std::move(opened));
  }
  Result<std::string> reach = path_->reach(path_->name());
  if (!reach) return finish(reach.error().context("cannot connect to " + path));
  auto attempt = std::make_unique<Attempt>();
  attempt->dial = this;
  attempt->handle = SocketHandle::make(loop_, SocketHandle::Kind::kUnix);
  SocketHandle& handle = *attempt->handle;
  handle.connect.data = attempt.get();
  attempts_.push_back(std::move(attempt));
  uv_pipe_connect(&handle.connect, handle.pipe(), reach->c_str(), [](uv_connect_t* request, int result) {
    auto* self = static_cast<Attempt*>(request->data);
    if (self) self->dial->connected(self, result);
  });
}

void UvDial::connected(Attempt* attempt, int status) {
  bool is_unix = options_.target.is_unix();
  std::shared_ptr<SocketHandle> handle = attempt->handle;
  if (status < 0) {
    std::string where = is_unix ? options_.target.path : attempt->address.to_string();
    drop(attempt);
    return failed(std::move(where), status);
  }
  handle->connect.data = nullptr;
  std::string description = options_.target.to_string();
  if (!is_unix) {
    tune(handle->fd(), attempt->address.family(), options_);
    if (options_.persistent_end) loop_.lost_ends().reached(attempt->address);
    description = attempt->address.to_string();
    if (host_ != "localhost" && !SocketAddress::parse(host_, 0)) known_->learn(host_, attempt->address);
    if (attempt->address.host() != host_) description = fmt::format("{} ({})", host_, description);
  }
  std::erase_if(attempts_, [attempt](const auto& entry) { return entry.get() == attempt; });
  auto stream = std::make_unique<StreamSocket>(loop_, std::move(handle), std::move(description));
  if (!is_unix && options_.quick_ack) stream->acknowledge_quickly();
  if (!is_unix && options_.persistent_end) stream->end_persistently();
  finish(std::unique_ptr<ByteStream>(std::move(stream)));
}

void UvDial::failed(std::string where, int status) {
  if (options_.target.is_unix() && status == UV_EAGAIN) return again_.start(kBacklogRetry);
  note_failure(std::move(where), status);
  again_.stop();
  next_address();
}

// The last one of each address counts.
void UvDial::note_failure(std::string where, int status) {
  std::erase_if(failures_, [&](const Failure& each) { return each.where == where; });
  failures_.push_back({std::move(where), status});
}

// --- the end
// -----------------------------------------------------------------------------------------------------

void UvDial::drop(Attempt* attempt) {
  attempt->handle->connect.data = nullptr;
  attempt->handle->close();
  std::erase_if(attempts_, [attempt](const auto& entry) { return entry.get() == attempt; });
}

void UvDial::cancel_all() {
  if (lookup_) {
    lookup_->owner = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->uv));  // if no thread has begun with it
    lookup_.reset();
  }
  while (!attempts_.empty()) drop(attempts_.back().get());
  untried_.clear();
  deadline_.stop();
  again_.stop();
}

void UvDial::finish(Result<std::unique_ptr<ByteStream>> result) {
  cancel_all();
  Io::DialResult done = std::move(done_);
  done_ = nullptr;
  if (done) done(std::move(result));  // may have destroyed this object
}

Error UvDial::timeout_error() const {
  std::string within = seconds_text(options_.timeout);
  if (lookup_)
    return Error{Errc::kTimeout, fmt::format("cannot resolve {} within {}", lookup_->name, within), {}};
  std::string who = options_.target.is_unix() ? options_.target.path
                                              : Endpoint{host_, options_.target.port, {}}.to_string();
  return Error{Errc::kTimeout, fmt::format("no answer from {} within {}", who, within), {}};
}

// "cannot connect to 10.0.0.5:22: Connection refused"; with several addresses, each with its reason.
Error UvDial::failure_error() const {
  std::string who = options_.target.is_unix() ? options_.target.path
                                              : Endpoint{host_, options_.target.port, {}}.to_string();
  std::string why;
  bool one = failures_.size() == 1 && failures_.front().where == who;
  for (const Failure& failure : failures_) {
    if (!why.empty()) why += ", ";
    why += one ? uv_text(failure.status) : fmt::format("{}: {}", failure.where, uv_text(failure.status));
  }
  return Error{Errc::kUnreachable, fmt::format("cannot connect to {}: {}", who, why), {}};
}

}  // namespace jump
