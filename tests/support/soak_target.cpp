#include "support/soak_target.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <sstream>

#include "support/setup_error.h"

namespace jump::test {

namespace {

constexpr int kBacklog = 512;
constexpr std::size_t kMaxComplaints = 10;
constexpr Duration kPlanDeadline = std::chrono::hours(24);  // a spare channel waits as long as the soak takes

UniqueFd listen_unix(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) setup_error("too long for a Unix socket: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    setup_error("cannot listen on " + path);
  }
  return fd;
}

UniqueFd listen_tcp(std::uint16_t* port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), generic, length) != 0 || ::listen(fd.get(), kBacklog) != 0 ||
      ::getsockname(fd.get(), generic, &length) != 0) {
    setup_error("cannot listen on 127.0.0.1");
  }
  *port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

SoakTarget::SoakTarget(const std::string& path)
    : listener_(path.empty() ? listen_tcp(&port_) : listen_unix(path)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  acceptor_ = std::thread([this] { accept_all(); });
}

SoakTarget::~SoakTarget() {
  stopping_ = true;
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) < 0) std::abort();
  acceptor_.join();
  for (Connection& connection : connections_) {
    std::lock_guard lock(connection.closing);
    if (connection.socket.is_open()) connection.socket.shutdown_both();
  }
  for (Connection& connection : connections_) connection.thread.join();
}

std::vector<std::string> SoakTarget::complaints() const {
  std::lock_guard lock(mutex_);
  return complaints_;
}

void SoakTarget::accept_all() {
  while (!stopping_) {
    pollfd polled[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(polled, 2, -1);
    reap();
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) continue;
    ++open_;
    Connection& connection = connections_.emplace_back(Socket(std::move(fd)));
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void SoakTarget::reap() {
  connections_.remove_if([](Connection& connection) {
    if (!connection.done) return false;
    connection.thread.join();
    return true;
  });
}

void SoakTarget::serve(Connection& connection) {
  play_plan(connection.socket);
  {
    std::lock_guard lock(connection.closing);
    connection.socket.close();
  }
  --open_;
  connection.done = true;
}

void SoakTarget::play_plan(Socket& socket) {
  const Received header = socket.receive_exactly(SoakPlan::kEncodedSize, kPlanDeadline);
  if (header.bytes.size() < SoakPlan::kEncodedSize) return;
  const SoakPlan plan = SoakPlan::decode(header.bytes);
  std::uint64_t moved = 0;
  const SoakEnd end = play(socket, plan.target, &moved);
  const bool as_planned = plan.orderly() ? end == SoakEnd::kComplete : end < SoakEnd::kWrong;
  if (as_planned || stopping_) return;
  std::ostringstream text;
  text << soak_end_name(end) << " at the target after " << moved << " bytes: " << plan;
  std::lock_guard lock(mutex_);
  if (complaints_.size() < kMaxComplaints) complaints_.push_back(text.str());
}

}  // namespace jump::test
