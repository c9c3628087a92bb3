// The way to a bastion, and to one behind it, is cut again and again at random moments while bytes flow: by a
// link that goes down, and silently, in one direction or both, for less or more than it takes to be noticed.
// Each time the same forwards serve again at once, and nothing is left in the end.
//
// $JUMPAGENT_CUT_CYCLES (4): how many; unless it is set, the servers are asked for signs of life more often
// than by default, so that silence is noticed sooner. $JUMPAGENT_CUT_SEED: repeats what was cut and when.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

#include "routed_network.h"
#include "support/agent_process.h"
#include "support/build_kind.h"
#include "support/env_number.h"
#include "support/eventually.h"
#include "support/machine_delay.h"
#include "support/proc_info.h"
#include "support/soak_client.h"
#include "support/soak_target.h"

namespace jump::test {
namespace {

constexpr std::size_t kClients = 6;
constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kMemoryMargin = (kSanitized ? 384 : 24) * kMiB;
// Stated in README, for a link and for silence without ServerAliveInterval.
constexpr Duration kLinkBound = seconds(3);
constexpr Duration kSilentBound = seconds(30);
constexpr Duration kServesAfterLink = seconds(1);
constexpr Duration kServesAfterSilence = seconds(3);
// With it: silence of an interval is asked about, and so many more without an answer are death.
constexpr int kBriefInterval = 2;
constexpr int kBriefCount = 1;
constexpr Duration kBriefBound = seconds(kBriefInterval * (1 + kBriefCount));
// Until a test stops waiting for what should be there long since: the bound is on what it measured.
constexpr Duration kNever = seconds(60);
constexpr Duration kSettle = seconds(60);

enum class How { kLink, kSilent, kNothingThere, kNothingBack };

struct Cut {
  int hop;
  How how;
  Duration before;                  // bytes flow so long
  std::optional<Duration> lasting;  // unless it is until it is noticed

  static Cut draw(std::mt19937_64& random, int number) {
    Cut cut{};
    cut.hop = number % 4 == 3 ? 1 : 0;
    cut.how = static_cast<How>(number % 4 == 0 ? 0 : 1 + random() % 3);
    cut.before = milliseconds(random() % 1500);
    if (random() % 2 || number % 4 == 3) cut.lasting = milliseconds(200 + random() % 7000);
    return cut;
  }
  std::string describe() const {
    static constexpr const char* kHow[] = {"link", "silent", "silent there", "silent back"};
    std::ostringstream out;
    out << "hop " << hop << ", " << kHow[static_cast<int>(how)] << ", after " << to_seconds(before) << " s, ";
    lasting ? out << "for " << to_seconds(*lasting) << " s" : out << "until it is noticed";
    return std::move(out).str();
  }
};

void let_flow(Duration time) {
  std::this_thread::sleep_for(time);
}  // the pace of it, not a wait for anything

class CutCycles : public testing::Test {
 protected:
  void SetUp() override {
    if (!RoutedNetwork::possible()) GTEST_SKIP() << "network namespaces are root's";
    const bool brief = env_number("JUMPAGENT_CUT_CYCLES", 0) == 0;
    std::vector<std::string> lines;
    if (brief) {
      lines = {"ServerAliveInterval " + std::to_string(kBriefInterval),
               "ServerAliveCountMax " + std::to_string(kBriefCount)};
      silent_bound_ = kBriefBound;
    }
    network_ = std::make_unique<RoutedNetwork>(lines);
    target_ = std::make_unique<SoakTarget>(path());
    agent_ = std::make_unique<AgentProcess>(network_->ssh_config());
    agent_->run();
    const Stopwatch time;
    for (const char* name : RoutedNetwork::kNames) {
      const auto forward = agent_->open_forward(name, "0:" + path());
      doors_.push_back(Door{port_of(forward.at("listen")), {}});
      ASSERT_TRUE(doors_.back().serves(seconds(20))) << name;
    }
    machine_.expect_own(time.elapsed());
  }
  std::string path() const { return network_->directory().file("target.sock"); }
  std::string state(int hop) {
    return agent_->host_status(RoutedNetwork::kNames[hop]).value("state", "gone");
  }

  std::size_t sum(const char* list, const char* field) {
    const nlohmann::json status = agent_->status();
    std::size_t all = 0;
    for (const auto& each : status.at(list)) all += each.at(field).get<std::size_t>();
    return all;
  }
  // Second connections stay for a while after their last use: to the one behind, as a channel each.
  std::size_t lanes(int hop) { return agent_->host_status(RoutedNetwork::kNames[hop]).at("lanes"); }
  // Nothing is under way: also none of what the server has to be told, or has to answer.
  bool at_rest() {
    static constexpr const char* kUnderWay[] = {"queued_out", "held_in", "channels_closing", "waiting"};
    return sum("forwards", "connections") == 0 && sum("hosts", "channels") == 1 + lanes(1) &&
           std::all_of(std::begin(kUnderWay), std::end(kUnderWay),
                       [this](const char* amount) { return sum("hosts", amount) == 0; });
  }
  std::size_t descriptors() { return open_descriptors(agent_->pid()) - lanes(0); }

  void sever(const Cut& cut) {
    if (cut.how == How::kLink) return network_->link_down();
    network_->cut(cut.hop, direction(cut.how));
  }
  void mend(const Cut& cut) {
    if (cut.how == How::kLink) return network_->link_up();
    network_->mend(cut.hop, direction(cut.how));
  }
  static RoutedNetwork::Direction direction(How how) {
    if (how == How::kSilent) return RoutedNetwork::Direction::kBoth;
    return how == How::kNothingThere ? RoutedNetwork::Direction::kThere : RoutedNetwork::Direction::kBack;
  }

  // How long it takes until a new connection through that door is served.
  double seconds_to_serve(const Door& door) {
    const Stopwatch time;
    while (!door.serves(seconds(10))) {
      if (time.elapsed() > seconds(60)) return 60;
    }
    return to_seconds(time.elapsed());
  }

  void run(const Cut& cut) {
    SCOPED_TRACE(cut.describe());
    let_flow(cut.before);
    sever(cut);
    machine_.restart();
    const Stopwatch time;
    double noticed = 0;
    if (cut.lasting) {
      let_flow(*cut.lasting);
    } else {
      const Duration bound = cut.how == How::kLink ? kLinkBound : silent_bound_;
      eventually([&] { return state(cut.hop) != "ready"; }, kNever);
      EXPECT_LT(time.elapsed(), bound + machine_.allowance()) << agent_->status().dump(2);
      noticed = to_seconds(time.elapsed());
    }
    if (cut.hop == 1) {
      machine_.restart();
      EXPECT_LT(seconds_to_serve(doors_[0]), to_seconds(kServesAfterLink + machine_.allowance()))
          << "what lies before the cut";
    }
    mend(cut);
    machine_.restart();
    const Duration bound = cut.how == How::kLink ? kServesAfterLink : kServesAfterSilence;
    std::array<std::future<double>, 2> served;
    for (std::size_t i : {0u, 1u})
      served[i] = std::async(std::launch::async, [this, i] { return seconds_to_serve(doors_[i]); });
    std::cout << "cut: " << cut.describe() << ": noticed after " << noticed << " s, serves after";
    for (auto& each : served) {
      const double took = each.get();
      EXPECT_LT(took, to_seconds(bound + machine_.allowance()));
      slowest_[cut.how == How::kLink ? 0 : 1] = std::max(slowest_[cut.how == How::kLink ? 0 : 1], took);
      std::cout << " " << took << " s";
    }
    std::cout << std::endl;
  }

  std::unique_ptr<RoutedNetwork> network_;
  std::unique_ptr<SoakTarget> target_;
  std::unique_ptr<AgentProcess> agent_;
  std::vector<Door> doors_;
  double slowest_[2] = {0, 0};
  Duration silent_bound_ = kSilentBound;
  MachineDelay machine_;
};

TEST_F(CutCycles, LeaveNothingBehindAndServeAgainAtOnce) {
  const int cycles = static_cast<int>(env_number("JUMPAGENT_CUT_CYCLES", 4));
  const std::uint64_t seed = env_number("JUMPAGENT_CUT_SEED", std::random_device()());
  std::cout << "cut: " << cycles << " cycles, JUMPAGENT_CUT_SEED=" << seed << std::endl;
  std::mt19937_64 random(seed);
  ASSERT_TRUE(eventually([&] { return at_rest(); })) << agent_->status().dump(2);
  const std::size_t before = settled_descriptors(agent_->pid()) - lanes(0);
  std::size_t early = 0;

  std::atomic<bool> over{false};
  std::vector<std::future<Tally>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::async(std::launch::async, [this, seed, i, &over] {
      Tally all;
      for (std::uint64_t round = 0; !over; ++round) {
        SoakClient client(seed + i + kClients * round, doors_, nullptr, SoakClient::Weather::kStorm);
        all += client.run(Clock::now() + milliseconds(500));
      }
      return all;
    }));
  }
  for (int i = 0; i < cycles && !HasFailure(); ++i) {
    run(Cut::draw(random, i));
    if (i <= std::max(cycles / 10, 1)) early = std::max(early, resident_bytes(agent_->pid()));
  }
  over = true;
  Tally tally;
  for (auto& client : clients) tally += client.get();

  EXPECT_TRUE(eventually([&] { return at_rest(); }, kSettle)) << agent_->status().dump(2);
  EXPECT_TRUE(eventually([&] { return descriptors() == before; }, kSettle))
      << before << " -> " << descriptors();
  const std::size_t memory = resident_bytes(agent_->pid());
  EXPECT_LT(memory, early + kMemoryMargin);
  const auto status = agent_->status();
  EXPECT_EQ(status.at("agent").at("window_held"), 0);
  for (const auto& forward : status.at("forwards")) EXPECT_EQ(forward.at("state"), "active") << forward;
  for (const std::string& text : tally.complaints) ADD_FAILURE() << text;
  std::cout << "cut: " << tally.describe() << "\ncut: slowest to serve: after a link " << slowest_[0]
            << " s, after silence " << slowest_[1] << " s; memory " << early / 1024 << " KiB -> "
            << memory / 1024 << " KiB; descriptors " << before << " -> " << descriptors() << std::endl;
}

}  // namespace
}  // namespace jump::test
