// Hundreds of forwards in one agent: each is a matter of milliseconds however many there are, and a reload
// touches only what is different.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <iostream>

#include "integration/forward_lab.h"
#include "support/build_kind.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr int kForwards = 500;
// Each in milliseconds is what is wanted; this is what only a quadratic slip could exceed on a busy machine.
constexpr Duration kEach = milliseconds(kSanitized ? 100 : 20);

class ForwardMany500 : public ::testing::Test {
 protected:
  // Paths rather than ports: no other test can be in the way.
  std::string spec(int i) const {
    return fmt::format("{}:127.0.0.1:{}", lab_.directory().file(fmt::format("l{}", i)), echo_.port());
  }
  std::string config(int from, int to, const std::string& more = {}) const {
    std::string text = more;
    for (int i = from; i < to; ++i)
      text += fmt::format("[[forward]]\nspec = \"{}\"\nvia = \"bastion\"\n", spec(i));
    return text;
  }
  static void expect_quick(const char* what, Duration took) {
    std::cerr << fmt::format("{}: {:.3f} ms each\n", what, to_seconds(took) * 1000 / kForwards);
    EXPECT_LT(took, kForwards * kEach) << what;
  }

  Lab lab_;
  TcpService echo_{TcpService::echo()};
};

TEST_F(ForwardMany500, AreOpenedListedAndClosedInMillisecondsEach) {
  ControlClient client(lab_.agent());
  client.close(client.open("local", spec(0)).at("id"));  // logs in
  Stopwatch opening;
  for (int i = 0; i < kForwards; ++i) client.open("local", spec(i));
  expect_quick("opened", opening.elapsed());
  Stopwatch listing;
  EXPECT_EQ(client.list().size(), static_cast<std::size_t>(kForwards));
  expect_quick("listed", listing.elapsed());
  EXPECT_EQ(echoed(Socket::connect_unix(lab_.directory().file("l499")), "hello"), "hello");
  Stopwatch closing;
  for (int i = 0; i < kForwards; ++i) client.close(spec(i));
  expect_quick("closed", closing.elapsed());
  EXPECT_TRUE(client.list().empty());
}

// The disk's time for each answer, and no more: those that are asked for together are written together.
TEST_F(ForwardMany500, AreMadePersistentTogether) {
  ControlClient client(lab_.agent());
  client.close(client.open("local", spec(0)).at("id"));  // logs in
  constexpr int kAtOnce = 50;                            // fewer than the agent works on for one client
  Stopwatch opening;
  for (int i = 0; i < kForwards; i += kAtOnce) {
    for (int k = i; k < i + kAtOnce; ++k)
      client.send("forward.open", ControlClient::open_params("local", spec(k), {{"persist", true}}));
    for (int k = 0; k < kAtOnce; ++k) {
      const json answer = client.receive();
      ASSERT_TRUE(answer.contains("result")) << answer;
    }
  }
  expect_quick("opened to persist", opening.elapsed());
  EXPECT_EQ(client.list().size(), static_cast<std::size_t>(kForwards));
}

TEST_F(ForwardMany500, AReloadWithOneChangeIsQuickAndLeavesATransferAlone) {
  constexpr std::size_t kSize = std::size_t{64} << 20;
  const std::string file = lab_.directory().write("agent.toml", config(0, kForwards));
  lab_.cold_agent().run({"-c", file});
  AgentProcess& agent = lab_.agent();
  ASSERT_TRUE(agent.ctl({"connect", Lab::kBastion}).ok());
  TcpService source(TcpService::source(31, kSize));
  ControlClient client(agent);
  EXPECT_EQ(client.list().size(), static_cast<std::size_t>(kForwards));

  // Through forwards of the config and of a client, begun before the reload and ended behind it.
  std::optional<Socket> configured = Socket::connect_unix(lab_.directory().file("l1"));
  ASSERT_TRUE(configured && send_pattern_to(*configured, 32, 1000));
  ASSERT_EQ(configured->receive_exactly(1000).bytes, pattern_bytes(32, 1000));
  const json opened = client.open("local", "0:127.0.0.1:" + std::to_string(source.port()));
  std::optional<Socket> download = Socket::connect_tcp(port_of(opened.at("listen")));
  ASSERT_TRUE(download);
  ASSERT_EQ(download->receive_exactly(8).bytes, pattern_bytes(31, 8));

  lab_.directory().write("agent.toml", config(0, kForwards - 1) + config(kForwards, kForwards + 1));
  Stopwatch reloading;
  const json outcome = client.call("agent.reload", json::object());
  expect_quick("reloaded", reloading.elapsed());
  EXPECT_EQ(outcome.at("opened"), 1);
  EXPECT_EQ(outcome.at("closed"), 1);
  EXPECT_EQ(outcome.at("kept"), kForwards - 1);

  Pattern skipped(31);
  Bytes first(8);
  skipped.fill(first);
  Sha256 whole;
  whole.update(first);
  std::size_t size = first.size();
  Bytes buffer(1 << 18);
  std::size_t got = 0;
  while (download->receive_some(buffer, &got) == StreamEnd::kOpen) {
    whole.update(ByteView(buffer).first(got));
    size += got;
  }
  EXPECT_EQ(size, kSize);
  EXPECT_EQ(whole.hex(), pattern_sha256(31, kSize));
  ASSERT_TRUE(configured->send_all(std::string_view("still here")));
  EXPECT_EQ(configured->receive_exactly(10).text(), "still here");
  EXPECT_FALSE(Socket::connect_unix(lab_.directory().file("l499")));
  EXPECT_EQ(echoed(Socket::connect_unix(lab_.directory().file("l500")), "hello"), "hello");
}

}  // namespace
}  // namespace jump::test
