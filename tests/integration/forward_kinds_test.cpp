// Every kind of forward, with every kind of end, against a stock sshd: the bytes arrive, all of them and in
// order, both ways, and an end of one direction leaves the other running.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <ostream>

#include "integration/forward_lab.h"
#include "support/build_kind.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"
#include "support/unix_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Shape {
  const char* kind;  // of forward.open
  bool listens_on_path = false;
  bool target_is_path = false;
  bool named_by_client = false;  // over SOCKS5

  std::string name() const {
    if (named_by_client) return std::string(kind == std::string("remote") ? "remote_" : "") + "dynamic";
    const auto end = [](bool path) { return path ? "path" : "port"; };
    return std::string(kind) + "_" + end(listens_on_path) + "_to_" + end(target_is_path);
  }
};
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.name(); }

// Of the kinds: 100 MiB, or less where every byte costs ten times as much.
std::size_t bulk() { return std::min(bulk_size(), kSanitized ? 16 * kMiB : 100 * kMiB); }

class ForwardKinds : public ::testing::TestWithParam<Shape> {
 protected:
  // A connection through a new forward of this shape to `serve`.
  Socket connect(TcpService::Serve serve) {
    std::string target;
    if (GetParam().target_is_path) {
      path_service_ = std::make_unique<UnixService>(lab_.directory().file("t.sock"), std::move(serve));
      target = ":" + path_service_->path();
    } else {
      service_ = std::make_unique<TcpService>(std::move(serve));
      target = ":127.0.0.1:" + std::to_string(service_->port());
    }
    if (GetParam().named_by_client) target.clear();
    const std::string path = lab_.directory().file("l.sock");
    ControlClient client(lab_.agent());
    forward_ = client.open(GetParam().kind, (GetParam().listens_on_path ? path : "0") + target);
    std::optional<Socket> socket = GetParam().listens_on_path
                                       ? Socket::connect_unix(path)
                                       : Socket::connect_tcp(port_of(forward_.value("listen", "")));
    if (!socket) throw std::runtime_error("nobody listens: " + forward_.dump());
    if (GetParam().named_by_client) {
      EXPECT_EQ(socks5_connect(*socket, "localhost", service_->port()), 0);
    }
    return *std::move(socket);
  }
  json status() { return lab_.agent().forward_status(forward_.at("id")); }

  Lab lab_;
  std::unique_ptr<TcpService> service_;
  std::unique_ptr<UnixService> path_service_;
  json forward_;
};

INSTANTIATE_TEST_SUITE_P(All, ForwardKinds,
                         ::testing::Values(Shape{"local"}, Shape{"local", false, true}, Shape{"local", true},
                                           Shape{"local", true, true}, Shape{"remote"},
                                           Shape{"remote", false, true}, Shape{"remote", true},
                                           Shape{"remote", true, true}, Shape{"dynamic", false, false, true},
                                           Shape{"remote", false, false, true}),
                         [](const auto& shape) { return shape.param.name(); });

TEST_P(ForwardKinds, AnUploadArrivesWithTheRightHashAndIsAnsweredBehindItsEnd) {
  Socket socket = connect(TcpService::hash_sink());
  ASSERT_TRUE(send_pattern_to(socket, 21, bulk()));
  socket.shutdown_write();
  const Received answer = socket.receive_all(seconds(240));
  EXPECT_EQ(answer.end, StreamEnd::kEof);
  EXPECT_EQ(answer.text(), pattern_sha256(21, bulk()));
  const bool remote = GetParam().kind == std::string("remote");
  EXPECT_TRUE(eventually([&] { return status().at("connections") == 0; })) << status();
  EXPECT_GE(status().at(remote ? "bytes_in" : "bytes_out").get<std::size_t>(), bulk()) << status();
  EXPECT_EQ(status().at("state"), "active");
}

TEST_P(ForwardKinds, ADownloadArrivesWithTheRightHash) {
  Socket socket = connect(TcpService::source(22, bulk()));
  EXPECT_EQ(digest_of(socket), digest_of_pattern(22, bulk()));
}

TEST_P(ForwardKinds, BothDirectionsAtOnceKeepTheirBytes) {
  const std::size_t size = bulk() / 4;
  Socket socket = connect(TcpService::echo());
  auto sent = std::async(std::launch::async, [&] {
    const bool all = send_pattern_to(socket, 23, size);
    socket.shutdown_write();
    return all;
  });
  EXPECT_EQ(digest_of(socket), digest_of_pattern(23, size));
  EXPECT_TRUE(sent.get());
}

TEST_P(ForwardKinds, AnEndOfTheTargetsDirectionLeavesOursRunning) {
  struct Got {
    std::promise<std::string> text;
    std::atomic<bool> set{false};
  };
  const auto got = std::make_shared<Got>();
  Socket socket = connect([got](Socket& target) {
    target.shutdown_write();
    const std::string text(target.receive_all(seconds(20)).text());
    if (got->set.exchange(true))
      ADD_FAILURE() << "a second connection said '" << text << "'";
    else
      got->text.set_value(text);
  });
  EXPECT_EQ(socket.receive_all(seconds(20)).end, StreamEnd::kEof);
  ASSERT_TRUE(socket.send_all(std::string_view("said after your end")));
  socket.shutdown_write();
  EXPECT_EQ(got->text.get_future().get(), "said after your end");
  EXPECT_TRUE(eventually([&] { return status().at("connections") == 0; })) << status();
}

// A kind that neither has a port nor a path of its own here leaves none behind there.
TEST_P(ForwardKinds, AClosedForwardListensNoLongerAndEndsItsConnections) {
  Socket socket = connect(TcpService::echo());
  ASSERT_TRUE(socket.send_all(std::string_view("hello")));
  ASSERT_EQ(socket.receive_exactly(5).text(), "hello");
  ControlClient(lab_.agent()).close(forward_.at("id"));
  EXPECT_TRUE(socket.wait_end(seconds(5)));
  const std::string path = lab_.directory().file("l.sock");
  const std::uint16_t port = port_of(forward_.value("listen", ""));
  EXPECT_TRUE(eventually([&] {
    return GetParam().listens_on_path ? !Socket::connect_unix(path) : !Socket::connect_tcp(port, seconds(1));
  }));
  const auto channels = [&] { return lab_.agent().host_status(Lab::kBastion).at("channels").get<int>(); };
  EXPECT_TRUE(eventually([&] { return channels() == 0; })) << channels();
}

}  // namespace
}  // namespace jump::test
