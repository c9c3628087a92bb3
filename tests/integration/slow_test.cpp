// A local program that stops reading, and a target that does: each costs the agent no more than its bound,
// costs others nothing, and loses nothing when it goes on.
//
// A stall lasts until the agent holds as much as it will, and at least $JUMPAGENT_SLOW_SECONDS (3). Meanwhile
// a second connection through the same forward echoes, and others download. The agent's own account (held_in,
// queued_out) and its resident memory are looked at all the time.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <iostream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "channel/mux.h"
#include "channel/window_budget.h"
#include "hop/hop.h"
#include "support/build_kind.h"
#include "support/delay_proxy.h"
#include "support/env_number.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/pattern.h"
#include "support/proc_info.h"
#include "support/soak_target.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kPiece = 256 * 1024;
// More than all buffers on the way hold together: two windows and the kernel's own, several times.
constexpr std::size_t kBig = 160 * kMiB;
constexpr std::size_t kHeadStart = 48 * kMiB;  // read before the stall, so that the window has grown
constexpr std::size_t kSide = 8 * kMiB;        // of each download beside the stall
constexpr Duration kDeadline = seconds(120);
constexpr Duration kPrompt = seconds(10);  // an echo, on a machine that runs other tests too
constexpr Duration kUsual =
    seconds(30);  // an echo and a download: tenths of a second, where nothing else runs
// Beside the window: what two dozen other connections and malloc need. Not measured under AddressSanitizer,
// which keeps freed memory on purpose.
constexpr std::size_t kMemoryMargin = 8 * kMiB;
constexpr std::size_t kQueuedMargin = 64 * 1024;  // a packet more than the bound, of each kind
constexpr Duration kRoundTrip = milliseconds(30);
constexpr int kChurners = 20;

Duration stall_time() { return seconds(env_number("JUMPAGENT_SLOW_SECONDS", 3)); }

bool send_pattern(Socket& socket, std::uint64_t seed, std::size_t size) {
  Pattern pattern(seed);
  Bytes piece;
  for (std::size_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min(kPiece, size - done));
    pattern.fill(piece);
    if (!socket.send_all(piece, stall_time() + kDeadline)) return false;
  }
  return true;
}

// Reads on from where `hash` is, `size` bytes or to the end; how many came.
std::size_t receive_into(Sha256& hash, Socket& socket, std::size_t size) {
  Bytes buffer(kPiece);
  std::size_t done = 0;
  std::size_t got = 0;
  while (done < size) {
    std::span<std::uint8_t> room = std::span(buffer).first(std::min(kPiece, size - done));
    if (socket.receive_some(room, &got, kDeadline) != StreamEnd::kOpen) break;
    hash.update(ByteView(buffer).first(got));
    done += got;
  }
  return done;
}

// Does what the first line of a connection asks for: "download SEED SIZE"; "echo"; "swallow", which reads
// nothing before go_on(), then all, and answers with its hash.
class SlowTarget {
 public:
  SlowTarget() : service_([this](Socket& socket) { serve(socket); }) {}
  ~SlowTarget() { go_on(); }

  void go_on() {
    if (!std::exchange(open_, true)) gate_.set_value();
  }
  std::uint16_t port() const { return service_.port(); }

 private:
  void serve(Socket& socket) {
    const std::string line = socket.receive_line().value_or("");
    std::istringstream words(line);
    std::string verb;
    std::uint64_t seed = 0;
    std::size_t size = 0;
    words >> verb >> seed >> size;
    if (verb == "download") {
      if (send_pattern(socket, seed, size)) socket.shutdown_write();
      socket.wait_end(kDeadline);
    } else if (verb == "echo") {
      while (const auto word = socket.receive_line(stall_time() + kDeadline)) socket.send_all(*word + "\n");
    } else if (verb == "swallow") {
      opened_.wait();
      Sha256 hash;
      receive_into(hash, socket, std::numeric_limits<std::size_t>::max());
      socket.send_all(hash.hex() + "\n");
    }
  }

  std::promise<void> gate_;
  std::shared_future<void> opened_ = gate_.get_future().share();
  bool open_ = false;
  TcpService service_;
};

// A bastion, near or a round trip away, and one forward over it; beside it one for connections that come and
// go.
class Scene {
 public:
  explicit Scene(bool far) : host_(far ? "far" : Lab::kBastion), lab_(options()) {
    port_ = agent().forward_port(host_, target_.port());
    churn_port_ = agent().forward_port(host_, churn_target_.port());
  }

  AgentProcess& agent() { return lab_.agent(); }
  SlowTarget& target() { return target_; }
  const SoakTarget& churn_target() const { return churn_target_; }
  std::uint16_t churn_port() const { return churn_port_; }

  Socket open(const std::string& request) {
    std::optional<Socket> socket = Socket::connect_tcp(port_);
    if (!socket || !socket->send_all(request + "\n"))
      throw std::runtime_error("the forward takes no connection");
    return std::move(*socket);
  }
  std::size_t amount(const char* name) { return agent().host_status(host_).at(name).get<std::size_t>(); }
  // No channel's receive window was ever larger.
  std::size_t window() { return std::max<std::size_t>(amount("largest_window"), WindowBudget::kInitialMax); }
  std::size_t memory() { return resident_bytes(agent_pid_ ? agent_pid_ : agent_pid_ = agent().pid()); }

 private:
  LabOptions options() {
    const KeyPair& key = user_key(KeyKind::kEd25519);
    far_.authorize(key);
    const std::string name = "[127.0.0.1]:" + std::to_string(way_.port());
    SshConfigHost far = host_for(
        "far", far_, key, directory_.write("known_hosts", name + " " + far_.host_key().public_line + "\n"));
    far.port = way_.port();
    LabOptions options;
    options.other_hosts = {far};
    return options;
  }

  TempDir directory_;
  Sshd far_;
  DelayProxy way_{far_.port(), {.round_trip = kRoundTrip}};
  SlowTarget target_;
  SoakTarget churn_target_;
  const std::string host_;
  Lab lab_;
  std::uint16_t port_ = 0, churn_port_ = 0;
  pid_t agent_pid_ = 0;
};

// What goes on beside a stall, and what the agent needs meanwhile.
class Watch {
 public:
  explicit Watch(Scene& scene) : scene_(scene), echo_(scene.open("echo")) {
    traffic();
    memory_before_ = memory_peak_ = scene_.memory();
  }

  // Until the agent holds as much of `amount` as it will.
  void settle(const char* amount) {
    const auto settled = [&] {
      const std::size_t now = scene_.amount(amount);
      return now > 0 && always([&] { return scene_.amount(amount) == now; }, milliseconds(300));
    };
    EXPECT_TRUE(eventually(settled, kDeadline)) << amount << " does not settle: " << scene_.amount(amount);
    sample();
  }

  // For the time of a stall.
  void keep_up() {
    const Stopwatch time;
    do {
      traffic();
      sample();
    } while (time.elapsed() < stall_time() && !::testing::Test::HasFailure());
  }

  // Others are served, whoever is not.
  void traffic() {
    const Stopwatch time;
    ASSERT_TRUE(echo_.send_all(std::string_view("are you there?\n")));
    ASSERT_EQ(echo_.receive_line(kPrompt).value_or("no echo"), "are you there?");
    Socket side = scene_.open("download 7 " + std::to_string(kSide));
    Sha256 hash;
    ASSERT_EQ(receive_into(hash, side, 2 * kSide), kSide);
    ASSERT_EQ(hash.hex(), side_hash_);
    if (rounds_++ == 0) first_round_ = time.elapsed();
    slowest_round_ = std::max(slowest_round_, time.elapsed());
    EXPECT_LT(to_seconds(time.elapsed()), to_seconds(kUsual));
  }

  void sample() {
    memory_peak_ = std::max(memory_peak_, scene_.memory());
    held_ = std::max(held_, scene_.amount("held_in"));
    queued_ = std::max(queued_, scene_.amount("queued_out"));
  }

  std::size_t held() const { return held_; }
  std::size_t queued() const { return queued_; }
  void expect_memory(std::size_t window) const {
    if (!kSanitized) {
      EXPECT_LE(memory_peak_, memory_before_ + window + kMemoryMargin);
    }
    std::cout << "slow: memory " << memory_before_ / 1024 << " KiB, at most " << memory_peak_ / 1024
              << " KiB; window " << window / 1024 << " KiB, held " << held_ / 1024 << " KiB, queued "
              << queued_ / 1024 << " KiB; " << rounds_ << " rounds of traffic, the slowest "
              << to_seconds(slowest_round_) << " s, the first, beside no stall, " << to_seconds(first_round_)
              << " s\n";
  }

 private:
  Scene& scene_;
  Socket echo_;
  const std::string side_hash_ = pattern_sha256(7, kSide);
  std::size_t memory_before_ = 0, memory_peak_ = 0, held_ = 0, queued_ = 0;
  int rounds_ = 0;
  Duration first_round_{}, slowest_round_{};
};

// A download whose reader stops after a while.
class SlowReader {
 public:
  explicit SlowReader(Scene& scene) : socket_(scene.open("download 1 " + std::to_string(kBig))) {
    received_ = receive_into(hash_, socket_, kHeadStart);
    EXPECT_EQ(received_, kHeadStart);
  }
  void expect_the_rest() {
    received_ += receive_into(hash_, socket_, 2 * kBig);
    EXPECT_EQ(received_, kBig);
    EXPECT_EQ(hash_.hex(), pattern_sha256(1, kBig));
  }

 private:
  Socket socket_;
  Sha256 hash_;
  std::size_t received_ = 0;
};

// An upload to a target that reads nothing until it is told to.
class SlowUpload {
 public:
  explicit SlowUpload(Scene& scene) : scene_(scene), socket_(scene.open("swallow")) {
    sent_ = std::async(std::launch::async, [this] {
      const bool all = send_pattern(socket_, 2, kBig);
      socket_.shutdown_write();
      return all;
    });
  }
  ~SlowUpload() { scene_.target().go_on(); }

  void expect_all_arrives() {
    EXPECT_NE(sent_.wait_for(seconds(0)), std::future_status::ready)
        << "it fitted into buffers: nothing was slow";
    scene_.target().go_on();
    EXPECT_TRUE(sent_.get());
    EXPECT_EQ(socket_.receive_line(kDeadline).value_or("nothing"), pattern_sha256(2, kBig));
  }

 private:
  Scene& scene_;
  Socket socket_;
  std::future<bool> sent_;
};

// Connections that open, exchange a little and close, all the time.
class Churn {
 public:
  explicit Churn(Scene& scene) {
    for (int i = 0; i < kChurners; ++i) {
      clients_.push_back(std::async(std::launch::async, [this, &scene, i] {
        int done = 0;
        for (; !stop_; ++done) {
          if (!exchange(scene.churn_port(), static_cast<std::uint64_t>(i))) return -1;
        }
        return done;
      }));
    }
  }
  ~Churn() { stop_ = true; }

  void expect_all_served() {
    stop_ = true;
    int sum = 0;
    for (auto& client : clients_) {
      const int done = client.get();
      EXPECT_GT(done, 0) << "a connection beside the stalls failed";
      sum += done;
    }
    std::cout << "slow: " << sum << " connections came and went\n";
  }

 private:
  static bool exchange(std::uint16_t port, std::uint64_t seed) {
    SoakPlan plan;
    plan.client.send_size = plan.target.expect_size = 5000;
    plan.client.expect_size = plan.target.send_size = 7000;
    plan.client.send_seed = plan.target.expect_seed = seed;
    plan.client.expect_seed = plan.target.send_seed = seed + 1000;
    std::optional<Socket> socket = Socket::connect_tcp(port);
    std::uint64_t moved = 0;
    return socket && socket->send_all(plan.encode()) &&
           play(*socket, plan.client, &moved) == SoakEnd::kComplete;
  }

  std::atomic<bool> stop_{false};
  std::vector<std::future<int>> clients_;
};

class Slow : public ::testing::TestWithParam<bool> {};
std::string distance(const ::testing::TestParamInfo<bool>& info) { return info.param ? "far" : "near"; }
INSTANTIATE_TEST_SUITE_P(Bastion, Slow, ::testing::Bool(), distance);

TEST_P(Slow, ALocalReaderThatStopsCostsItsWindowAndNobodyElse) {
  Scene scene(GetParam());
  Watch watch(scene);
  SlowReader reader(scene);
  watch.settle("held_in");
  watch.keep_up();
  EXPECT_GT(watch.held(), 0u);
  EXPECT_LE(watch.held(), scene.window());
  EXPECT_LE(scene.window(), WindowBudget::kWindowMax);
  watch.expect_memory(scene.window());
  reader.expect_the_rest();
  EXPECT_TRUE(eventually([&] { return scene.amount("held_in") == 0; }));
}

TEST_P(Slow, ATargetThatStopsReadingCostsAQueueAndNobodyElse) {
  Scene scene(GetParam());
  Watch watch(scene);
  SlowUpload upload(scene);
  watch.settle("queued_out");
  watch.keep_up();
  EXPECT_LE(watch.queued(), Mux::kSendQueueMax + Hop::kOutputMax + kQueuedMargin);
  watch.expect_memory(0);
  upload.expect_all_arrives();
  EXPECT_TRUE(eventually([&] { return scene.amount("queued_out") == 0; }));
}

TEST_P(Slow, BothStallWhileTwentyConnectionsComeAndGo) {
  Scene scene(GetParam());
  Watch watch(scene);
  SlowReader reader(scene);
  SlowUpload upload(scene);
  watch.settle("held_in");
  Churn churn(scene);
  watch.keep_up();
  churn.expect_all_served();
  watch.expect_memory(scene.window());
  reader.expect_the_rest();
  upload.expect_all_arrives();
  for (const std::string& text : scene.churn_target().complaints()) ADD_FAILURE() << text;
}

}  // namespace
}  // namespace jump::test
