// Remote listening over one Hop to a real sshd: the server listens for us, TCP and Unix, and its channels are
// joined to a local service as a remote forward does it: dialled first, confirmed then.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <future>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "channel/messages.h"
#include "channel/remote_listeners.h"
#include "integration/login_attempt.h"
#include "stream/splice.h"
#include "support/pattern.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump {
namespace {

using test::Socket;
using test::TcpService;

constexpr std::size_t kBulk = 100 * 1024 * 1024;
constexpr Duration kPatience = seconds(30);

// A remote forward in short: each channel is joined to a connection to a local port.
class ForwardHere final : public RemoteListenHandler {
 public:
  ForwardHere(Io& io, std::uint16_t target) : io_(io), target_(target) {}

  void on_listening(Result<std::uint16_t> result) override {
    if (result) {
      port = *result;
    } else {
      error = result.error();
    }
  }
  void on_incoming(IncomingChannel incoming) override {
    incoming_count++;
    joints_.emplace_back(std::move(incoming));
    Joint& joint = joints_.back();
    DialOptions options;
    options.target = {"127.0.0.1", target_, {}};
    options.timeout = seconds(10);
    joint.dial = io_.dial(options, [this, &joint](Result<std::unique_ptr<ByteStream>> local) {
      if (!local) return joint.incoming.refuse(ssh::kOpenConnectFailed, local.error().message);
      Result<std::unique_ptr<Channel>> channel = joint.incoming.accept(nullptr);
      if (!channel) return;
      joint.splice = std::make_unique<Splice>(io_, *std::move(local), *std::move(channel),
                                              [this](const Error*) { ended++; });
      joint.splice->start();
    });
  }
  void on_lost(const Error& why) override { lost = why; }

  std::optional<std::uint16_t> port;
  std::optional<Error> error, lost;
  int incoming_count = 0;
  int ended = 0;

 private:
  struct Joint {
    explicit Joint(IncomingChannel channel) : incoming(std::move(channel)) {}
    IncomingChannel incoming;
    std::unique_ptr<Operation> dial;
    std::unique_ptr<Splice> splice;
  };
  Io& io_;
  std::uint16_t target_;
  std::list<Joint> joints_;
};

class RemoteListenSshd : public testing::Test {
 protected:
  void connect(std::vector<std::string> config = {}) {
    server = std::make_unique<test::AuthServer>(test::SshdOptions{.config = std::move(config)});
    const test::KeyPair& key = test::user_key(test::KeyKind::kEd25519);
    server->sshd().authorize(key);
    HopSpec spec = server->spec({key.private_path});
    spec.identities_only = true;
    ASSERT_TRUE(login.run(spec)) << login.error().message;
  }
  RemoteListeners& remote() { return login.hop->mux().remote_listeners(); }

  bool turn_until(const std::function<bool()>& done) {
    auto tick = login.io.timer([] {});
    const TimePoint deadline = Clock::now() + 2 * kPatience;
    while (!done() && Clock::now() < deadline) {
      tick->start(milliseconds(20));
      login.loop.run_once();
    }
    return done();
  }
  // Runs what a user of the far side does, beside the loop.
  template <class Work>
  auto meanwhile(Work work) {
    auto result = std::async(std::launch::async, std::move(work));
    EXPECT_TRUE(turn_until([&] { return result.wait_for(seconds(0)) == std::future_status::ready; }));
    return result.get();
  }
  std::unique_ptr<RemoteListener> listen(const RemoteListen& at, ForwardHere& handler) {
    auto out = remote().listen(at, &handler);
    EXPECT_TRUE(out.ok()) << out.error().message;
    EXPECT_TRUE(turn_until([&] { return handler.port || handler.error; }));
    return out.ok() ? *std::move(out) : nullptr;
  }
  // What comes back for `text` from an echo at the other end.
  std::string echoed(std::uint16_t port, const std::string& text) {
    return meanwhile([=] {
      auto socket = Socket::connect_tcp(port);
      if (!socket || !socket->send_all(text)) return std::string("not connected");
      socket->shutdown_write();
      return std::string(socket->receive_all(kPatience).text());
    });
  }

  std::unique_ptr<test::AuthServer> server;
  test::LoginAttempt login;
};

TEST_F(RemoteListenSshd, APortIsListenedOnAndGivenBack) {
  connect();
  TcpService echo(TcpService::echo());
  test::ReservedPort reserved;
  const std::uint16_t port = reserved.number();
  ForwardHere forward(login.io, echo.port());
  auto listener = listen(RemoteListen::tcp("localhost", port), forward);
  ASSERT_TRUE(forward.port) << forward.error->message;
  EXPECT_EQ(*forward.port, port);
  EXPECT_EQ(echoed(port, "hello"), "hello");
  EXPECT_EQ(forward.incoming_count, 1);

  listener.reset();
  ASSERT_TRUE(turn_until([&] { return login.hop->mux().awaited_replies() == 0; }));
  EXPECT_FALSE(Socket::connect_tcp(port, seconds(1)));
  ForwardHere again(login.io, echo.port());
  listener = listen(RemoteListen::tcp("localhost", port), again);
  ASSERT_TRUE(again.port) << again.error->message;
  EXPECT_EQ(echoed(port, "once more"), "once more");
}

TEST_F(RemoteListenSshd, EachWayToNameTheAddressIsFoundAgain) {
  connect({"GatewayPorts clientspecified"});
  TcpService echo(TcpService::echo());
  for (const char* address : {"", "*", "localhost", "127.0.0.1", "0.0.0.0"}) {
    ForwardHere forward(login.io, echo.port());
    auto listener = listen(RemoteListen::tcp(address, 0), forward);
    ASSERT_TRUE(forward.port) << address << ": " << forward.error->message;
    EXPECT_EQ(echoed(*forward.port, address), address);
    EXPECT_EQ(forward.incoming_count, 1) << address;
  }
  EXPECT_EQ(remote().unknown_opens(), 0u);
}

TEST_F(RemoteListenSshd, PortZeroGivesTwoListenersAPortOfTheirOwn) {
  connect();
  TcpService one(TcpService::say(to_bytes(as_bytes("one")), true));
  TcpService two(TcpService::say(to_bytes(as_bytes("two")), true));
  ForwardHere to_one(login.io, one.port()), to_two(login.io, two.port());
  auto first = listen(RemoteListen::tcp("localhost", 0), to_one);
  auto second = listen(RemoteListen::tcp("localhost", 0), to_two);
  ASSERT_TRUE(to_one.port && to_two.port);
  EXPECT_NE(*to_one.port, *to_two.port);
  EXPECT_EQ(echoed(*to_one.port, ""), "one");
  EXPECT_EQ(echoed(*to_two.port, ""), "two");
  const std::uint16_t port = *to_one.port;
  first.reset();
  ASSERT_TRUE(turn_until([&] { return login.hop->mux().awaited_replies() == 0; }));
  EXPECT_FALSE(Socket::connect_tcp(port, seconds(1)));
  EXPECT_EQ(echoed(*to_two.port, ""), "two");
}

TEST_F(RemoteListenSshd, WithdrawnBeforeTheAnswerThePortIsGivenBack) {
  connect();
  TcpService echo(TcpService::echo());
  test::ReservedPort reserved;
  const std::uint16_t port = reserved.number();
  ForwardHere first(login.io, echo.port()), second(login.io, echo.port());
  remote().listen(RemoteListen::tcp("localhost", port), &first).value().reset();
  auto listener = listen(RemoteListen::tcp("localhost", port), second);
  EXPECT_FALSE(first.port);
  ASSERT_TRUE(second.port) << second.error->message;
  EXPECT_EQ(echoed(port, "mine"), "mine");
}

TEST_F(RemoteListenSshd, AUnixSocketIsListenedOnAndGivenBack) {
  connect();
  TcpService echo(TcpService::echo());
  const std::string path = server->directory().file("remote.sock");
  ForwardHere forward(login.io, echo.port());
  auto listener = listen(RemoteListen::unix_socket(path), forward);
  ASSERT_TRUE(forward.port) << forward.error->message;
  EXPECT_EQ(*forward.port, 0);
  const std::string answer = meanwhile([&] {
    auto socket = Socket::connect_unix(path);
    if (!socket || !socket->send_all("hello")) return std::string("not connected");
    socket->shutdown_write();
    return std::string(socket->receive_all(kPatience).text());
  });
  EXPECT_EQ(answer, "hello");
  listener.reset();
  ASSERT_TRUE(turn_until([&] { return login.hop->mux().awaited_replies() == 0; }));
  EXPECT_FALSE(Socket::connect_unix(path));
}

TEST_F(RemoteListenSshd, AStaleUnixSocketIsExplainedAndReplacedWhereTheServerMay) {
  const std::string unlink = "StreamLocalBindUnlink ";
  for (const bool may : {false, true}) {
    connect({unlink + (may ? "yes" : "no")});
    const std::string path = server->directory().write("stale.sock", "");
    ForwardHere forward(login.io, 1);
    auto listener = listen(RemoteListen::unix_socket(path), forward);
    EXPECT_EQ(forward.port.has_value(), may);
    if (!may) {
      ASSERT_TRUE(forward.error);
      EXPECT_EQ(forward.error->code, Errc::kRefused);
      EXPECT_NE(forward.error->hint.find("StreamLocalBindUnlink"), std::string::npos);
    }
    login.hop.reset();
  }
}

TEST_F(RemoteListenSshd, AServerThatForbidsItRefusesAndTheConnectionGoesOn) {
  connect({"AllowTcpForwarding no", "AllowStreamLocalForwarding no"});
  ForwardHere tcp(login.io, 1), local(login.io, 1);
  auto first = listen(RemoteListen::tcp("localhost", 0), tcp);
  ASSERT_TRUE(tcp.error);
  EXPECT_EQ(tcp.error->code, Errc::kRefused);
  EXPECT_NE(tcp.error->message.find("localhost"), std::string::npos);
  EXPECT_NE(tcp.error->hint.find("AllowTcpForwarding"), std::string::npos);
  auto second = listen(RemoteListen::unix_socket(server->directory().file("x")), local);
  ASSERT_TRUE(local.error);
  EXPECT_EQ(login.hop->state(), Hop::State::kReady);
}

TEST_F(RemoteListenSshd, APortThatIsTakenThereIsRefused) {
  connect();
  TcpService holder(TcpService::silent());
  ForwardHere forward(login.io, 1);
  auto listener = listen(RemoteListen::tcp("127.0.0.1", holder.port()), forward);
  ASSERT_TRUE(forward.error);
  EXPECT_NE(forward.error->message.find(std::to_string(holder.port())), std::string::npos);
}

TEST_F(RemoteListenSshd, ALocalTargetThatRefusesClosesTheFarConnectionAtOnce) {
  connect();
  test::ReservedPort nobody;
  ForwardHere forward(login.io, nobody.number());
  auto listener = listen(RemoteListen::tcp("localhost", 0), forward);
  ASSERT_TRUE(forward.port);
  EXPECT_TRUE(meanwhile([&] {
    auto socket = Socket::connect_tcp(*forward.port);
    return socket && socket->wait_end(seconds(10));
  }));
  EXPECT_EQ(login.hop->mux().counters().peer_opens_refused, 1u);
  EXPECT_EQ(login.hop->mux().used_numbers(), 0u);
}

TEST_F(RemoteListenSshd, TheEndOfTheConnectionIsHeard) {
  connect();
  ForwardHere forward(login.io, 1);
  auto listener = listen(RemoteListen::tcp("localhost", 0), forward);
  ASSERT_TRUE(forward.port);
  server->sshd().kill_all();
  EXPECT_TRUE(turn_until([&] { return forward.lost.has_value(); }));
  listener.reset();
}

TEST_F(RemoteListenSshd, AHundredMegabytesEachWayArriveWhole) {
  connect();
  TcpService source(TcpService::source(7, kBulk));
  TcpService sink(TcpService::hash_sink());
  ForwardHere from(login.io, source.port()), to(login.io, sink.port());
  auto first = listen(RemoteListen::tcp("localhost", 0), from);
  auto second = listen(RemoteListen::tcp("localhost", 0), to);
  ASSERT_TRUE(from.port && to.port);
  const std::string down = meanwhile([&] {
    test::Sha256 hash;
    std::size_t got = 0, all = 0;
    Bytes buffer(256 * 1024);
    auto socket = Socket::connect_tcp(*from.port);
    while (socket && socket->receive_some(buffer, &got) == test::StreamEnd::kOpen) {
      hash.update(ByteView(buffer).first(got));
      all += got;
    }
    return std::to_string(all) + " " + hash.hex();
  });
  EXPECT_EQ(down, std::to_string(kBulk) + " " + test::pattern_sha256(7, kBulk));
  const std::string up = meanwhile([&] {
    auto socket = Socket::connect_tcp(*to.port);
    test::Pattern pattern(8);
    Bytes piece(256 * 1024);
    for (std::size_t done = 0; socket && done < kBulk; done += piece.size()) {
      pattern.fill(piece);
      if (!socket->send_all(piece)) return std::string("broken");
    }
    if (!socket) return std::string("not connected");
    socket->shutdown_write();
    return std::string(socket->receive_all(kPatience).text());
  });
  EXPECT_EQ(up, test::pattern_sha256(8, kBulk));
}

TEST_F(RemoteListenSshd, ThirtyConnectionsAtOnceAreAllServed) {
  connect();
  TcpService echo(TcpService::echo());
  ForwardHere forward(login.io, echo.port());
  auto listener = listen(RemoteListen::tcp("localhost", 0), forward);
  ASSERT_TRUE(forward.port);
  const int served = meanwhile([&] {
    std::vector<Socket> sockets;
    for (int i = 0; i < 30; ++i) {
      if (auto socket = Socket::connect_tcp(*forward.port)) sockets.push_back(*std::move(socket));
    }
    int good = 0;
    for (std::size_t i = 0; i < sockets.size(); ++i) sockets[i].send_all("number " + std::to_string(i));
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      sockets[i].shutdown_write();
      good += sockets[i].receive_all(kPatience).text() == "number " + std::to_string(i);
    }
    return good;
  });
  EXPECT_EQ(served, 30);
  EXPECT_TRUE(turn_until([&] { return forward.ended == 30; }));
  EXPECT_TRUE(turn_until([&] { return login.hop->mux().used_numbers() == 0; }));
}

}  // namespace
}  // namespace jump
