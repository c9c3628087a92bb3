// Chaos: two bastions, one behind the other, behind paths that are stalled, delayed, reset and ended by
// halves; servers and agents that are killed; clients that leave; and all the while connections whose every
// byte is checked. What ended in good order has to be whole, nothing may hang, and in the end nothing is
// left.
//
// $JUMPAGENT_CHAOS_SECONDS (10): how long (contrib/soak.sh chaos: half an hour). $JUMPAGENT_CHAOS_SEED: the
// run's seed, which decides what happens when, and what each client does; how they meet is up to the machine.
// Agents are killed in the first half only, so that the last one is old enough for its memory to be compared.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

#include "support/agent_process.h"
#include "support/build_kind.h"
#include "support/env_number.h"
#include "support/eventually.h"
#include "support/fault_proxy.h"
#include "support/key_pair.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/setup_error.h"
#include "support/soak_client.h"
#include "support/soak_target.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kClients = 10;
constexpr std::size_t kMemoryMargin = (kSanitized ? 384 : 32) * kMiB;
constexpr Duration kSettle = seconds(90);
constexpr const char* kNames[] = {"bastion", "inner"};

enum class What { kDelay, kStall, kReset, kHalfClose, kRefuse, kKillSshd, kKillHolder, kKillAgent };
constexpr const char* kWhat[] = {"delay",  "stall",     "reset",         "half-close",
                                 "refuse", "kill sshd", "kill a client", "kill the agent"};

struct Blow {
  Duration pause;  // since the one before is over
  What what;
  std::size_t path;  // which way, or server
  Duration lasting;  // of a stall, a refusal; the delay itself

  static Blow draw(std::mt19937_64& random) {
    static constexpr What kOften[] = {What::kDelay,     What::kDelay,  What::kStall,    What::kStall,
                                      What::kReset,     What::kReset,  What::kReset,    What::kHalfClose,
                                      What::kHalfClose, What::kRefuse, What::kKillSshd, What::kKillHolder,
                                      What::kKillAgent};
    Blow blow{};
    blow.pause = milliseconds(200 + random() % 3000);
    blow.what = kOften[random() % std::size(kOften)];
    blow.path = random() % 2;
    blow.lasting = milliseconds(random() % most(blow.what, random() % 8 == 0));
    return blow;
  }
  // Of its length, in milliseconds.
  static std::uint64_t most(What what, bool long_one) {
    switch (what) {
      case What::kDelay:
        return 80;
      case What::kReset:
      case What::kHalfClose:
        return 1;
      case What::kKillHolder:
        return 500;
      case What::kKillAgent:
        return 1000;
      default:
        return long_one ? 25000 : 3000;
    }
  }
  std::string describe() const {
    std::ostringstream out;
    out << kWhat[static_cast<int>(what)] << " " << kNames[path] << " " << to_seconds(lasting) << " s";
    return std::move(out).str();
  }
};

// agent ─► way 0 ─► "bastion" ─► way 1 ─► "inner" ─► targets
class Scene {
 public:
  Scene() {
    const KeyPair& key = user_key(KeyKind::kEd25519);
    std::vector<SshConfigHost> hosts;
    std::string known;
    for (std::size_t i : {0u, 1u}) {
      sshd_[i].authorize(key);
      way_[i] = std::make_unique<FaultProxy>(sshd_[i].port());
      known +=
          "[127.0.0.1]:" + std::to_string(way_[i]->port()) + " " + sshd_[i].host_key().public_line + "\n";
      hosts.push_back(host_for(kNames[i], sshd_[i], key, directory_.file("known_hosts")));
      hosts.back().port = way_[i]->port();
      hosts.back().lines = {"ServerAliveInterval 3", "ServerAliveCountMax 2"};
    }
    hosts[1].lines.push_back("ProxyJump bastion");
    directory_.write("known_hosts", known);
    agent_ = std::make_unique<AgentProcess>(directory_.write("ssh_config", ssh_config_text(hosts)));
    start_agent();
    for (std::size_t i : {0u, 1u}) {
      const std::string to = ":127.0.0.1:" + std::to_string(target_.port());
      const std::string port = std::to_string(port_[i].number());
      agent_->ctl_json({"forward", "--persist", "--via", kNames[i], port + to});
      doors_.push_back(Door{port_[i].number(), {}});
      const std::string path = directory_.file(std::string(kNames[i]) + ".sock");
      agent_->ctl_json({"forward", "--persist", "--via", kNames[i], path + to});
      doors_.push_back(Door{0, path});
    }
  }

  AgentProcess& agent() { return *agent_; }
  const std::vector<Door>& doors() const { return doors_; }
  std::vector<std::string> target_complaints() const { return target_.complaints(); }
  std::size_t targets_open() const { return target_.open(); }

  void strike(const Blow& blow) {
    FaultProxy& way = *way_[blow.path];
    switch (blow.what) {
      case What::kDelay:
        return way.set_delay(blow.lasting);
      case What::kStall:
        way.stall(true);
        pass(blow.lasting);
        return way.stall(false);
      case What::kReset:
        return way.reset_all();
      case What::kHalfClose:
        return way.half_close();
      case What::kRefuse:
        way.refuse(true);
        way.reset_all();
        pass(blow.lasting);
        return way.refuse(false);
      case What::kKillSshd:
        sshd_[blow.path].kill_all();
        pass(blow.lasting);
        return sshd_[blow.path].start();
      case What::kKillHolder:
        return kill_holder(blow);
      case What::kKillAgent:
        agent_->kill9();
        pass(blow.lasting);
        return start_agent();
    }
  }
  void mend() {
    for (auto& way : way_) way->set_delay(Duration::zero());
  }
  static void pass(Duration time) { std::this_thread::sleep_for(time); }  // the pace of it

  json sums(std::size_t (*descriptors)(pid_t) = open_descriptors) {
    const json status = agent_->status();
    std::uint64_t connections = 0, channels = 0, lanes = 0, carried = 0;
    for (const auto& each : status.at("forwards")) connections += each.at("connections").get<std::uint64_t>();
    for (const auto& host : status.at("hosts")) {
      channels += host.at("channels").get<std::uint64_t>() + host.at("channels_opening").get<std::uint64_t>();
      const auto more = host.at("lanes").get<std::uint64_t>();
      // One behind another is a channel there, and no descriptor.
      (host.at("via") == "" ? lanes : carried) += more;
      carried += host.at("via") != "" && host.at("state") == "ready" ? 1 : 0;
    }
    return {{"connections", connections},
            {"channels", channels - carried},
            {"descriptors", descriptors(agent_->pid()) - lanes},
            {"forwards", status.at("forwards").size()},
            {"window_held", status.at("agent").at("window_held")}};
  }

 private:
  void start_agent() {
    const ProcessResult up = agent_->up();
    if (!up.ok()) setup_error("up: " + up.describe());
  }
  // One that holds a forward and is in the middle of its work.
  void kill_holder(const Blow& blow) {
    Process holder({ctl_program(), "forward", "--hold", "--via", kNames[blow.path],
                    "0:127.0.0.1:" + std::to_string(target_.port())},
                   agent_->environment());
    pass(blow.lasting);
    holder.kill();
  }

  TempDir directory_;
  Sshd sshd_[2];
  std::unique_ptr<FaultProxy> way_[2];
  ReservedPort port_[2];
  SoakTarget target_;
  std::unique_ptr<AgentProcess> agent_;
  std::vector<Door> doors_;
};

struct Plan {
  std::vector<Blow> first, second;  // agents are killed in the first half only

  Plan(std::uint64_t seed, Duration length) {
    std::mt19937_64 random(seed);
    for (std::vector<Blow>* half : {&first, &second}) {
      for (Duration time{}; time < length / 2;) {
        Blow blow = Blow::draw(random);
        if (half == &second && blow.what == What::kKillAgent) blow.what = What::kReset, blow.lasting = {};
        blow.lasting = std::min<Duration>(blow.lasting, length / 4);
        time += blow.pause + (blow.what == What::kDelay ? Duration::zero() : blow.lasting);
        half->push_back(blow);
      }
    }
    // A short run has one, too.
    const auto kills = [](const Blow& blow) { return blow.what == What::kKillAgent; };
    if (std::none_of(first.begin(), first.end(), kills)) first.back().what = What::kKillAgent;
  }
};

void strike_all(Scene& scene, const std::vector<Blow>& blows, std::string& done) {
  for (const Blow& blow : blows) {
    Scene::pass(blow.pause);
    done += blow.describe() + "\n";
    scene.strike(blow);
  }
}

TEST(Chaos, WhatEndsInGoodOrderIsWholeAndNothingIsLeft) {
  const std::uint64_t seed = env_number("JUMPAGENT_CHAOS_SEED", std::random_device()());
  const seconds duration(env_number("JUMPAGENT_CHAOS_SECONDS", 10));
  std::cout << "chaos: " << duration.count() << " s, JUMPAGENT_CHAOS_SEED=" << seed << std::endl;
  Scene scene;
  for (const Door& door : scene.doors()) ASSERT_TRUE(door.serves(seconds(20)));
  const auto idle = [&] {
    const json now = scene.sums();
    return now.at("connections") == 0 && now.at("channels") == 0 && scene.targets_open() == 0;
  };
  ASSERT_TRUE(eventually(idle, kSettle)) << scene.sums();
  const json before = scene.sums(settled_descriptors);
  const Plan plan(seed, duration);
  std::string done;

  std::atomic<bool> over{false};
  std::vector<std::future<Tally>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::async(std::launch::async, [&scene, seed, i, &over] {
      Tally all;
      for (std::uint64_t round = 0; !over; ++round) {
        SoakClient client(seed + i + kClients * round, scene.doors(), nullptr, SoakClient::Weather::kStorm);
        all += client.run(Clock::now() + seconds(1));
      }
      return all;
    }));
  }
  strike_all(scene, plan.first, done);
  const pid_t agent = scene.agent().pid();
  const std::size_t tenth = plan.second.size() / 10 + 1;
  strike_all(scene, {plan.second.begin(), plan.second.begin() + static_cast<std::ptrdiff_t>(tenth)}, done);
  const std::size_t early = resident_bytes(agent);
  strike_all(scene, {plan.second.begin() + static_cast<std::ptrdiff_t>(tenth), plan.second.end()}, done);
  scene.mend();
  over = true;
  Tally tally;
  for (auto& client : clients) tally += client.get();

  for (const Door& door : scene.doors())
    EXPECT_TRUE(eventually([&] { return door.serves(seconds(12)); }, seconds(60)))
        << scene.agent().status().dump(2);
  EXPECT_TRUE(eventually(idle, kSettle)) << scene.sums() << "\n" << scene.agent().status().dump(2);
  EXPECT_TRUE(eventually([&] { return scene.sums() == before; }, kSettle))
      << before << " -> " << scene.sums();
  EXPECT_EQ(scene.agent().pid(), agent) << "it died";
  const std::size_t memory = resident_bytes(agent);
  EXPECT_LT(memory, early + kMemoryMargin);
  for (const std::string& text : tally.complaints) ADD_FAILURE() << text;
  EXPECT_GT(tally.complete, 0u);
  // Breaks are few; ends that are none would be as many as connections.
  EXPECT_LE(tally.ended_short, tally.connections / 4);
  if (HasFailure()) std::cout << done;
  std::cout << "chaos: " << tally.describe() << "\nchaos: " << plan.first.size() + plan.second.size()
            << " blows; memory " << early / 1024 << " KiB -> " << memory / 1024 << " KiB; " << scene.sums()
            << std::endl;
}

}  // namespace
}  // namespace jump::test
