// The soak: many clients open, close, stall, half-close, reset and abandon connections through several
// forwards at once, against targets that do the same, over a connection that renews its keys all the time.
// Every byte of a connection that nobody cut is compared with its pattern. Afterwards nothing may be left:
// no channel, no connection, no descriptor, no byte held, no memory.
//
// $JUMPAGENT_SOAK_SECONDS: how long (contrib/soak.sh: ten minutes). $JUMPAGENT_SOAK_SEED: the run's seed,
// which decides what every client does, one connection after the other; how they meet is up to the machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <iostream>
#include <random>
#include <sstream>

#include "support/build_kind.h"
#include "support/env_number.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/soak_client.h"
#include "support/soak_target.h"

namespace jump::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kClients = 24;
constexpr int kPrewarm = 4;
constexpr const char* kOther = "other";
constexpr Duration kSettleDeadline = seconds(60);
// How much more memory than after the first tenth of the run is still none: what malloc keeps of two dozen
// windows that happened to be full together. AddressSanitizer keeps 256 MiB of freed memory on top of that;
// its build finds leaks by its own means.
constexpr std::size_t kMemoryMargin = (kSanitized ? 384 : 24) * kMiB;

// Two bastions; targets on TCP and on a Unix socket; forwards of each kind between them.
class Scene {
 public:
  Scene()
      : key_(user_key(KeyKind::kEd25519)),
        path_target_(directory_.file("target.sock")),
        lab_(options(other_, key_, directory_)) {
    const std::string port = ":127.0.0.1:" + std::to_string(target_.port());
    add_port("0" + port, Lab::kBastion, {});
    add_port("0" + port, kOther, {});
    prewarmed_ = add_port("0" + port, kOther, {"--prewarm", std::to_string(kPrewarm)});
    add_port("0:" + directory_.file("target.sock"), Lab::kBastion, {});
    add_path("one.sock", port, kOther);
    add_path("two.sock", ":" + directory_.file("target.sock"), Lab::kBastion);
    const nlohmann::json refused = open("0:127.0.0.1:" + std::to_string(nobody_.number()), kOther, {});
    closed_.port = port_of(refused.at("listen"));
  }

  AgentProcess& agent() { return lab_.agent(); }
  const std::vector<Door>& doors() const { return doors_; }
  const Door& closed() const { return closed_; }
  std::string prewarmed() const { return prewarmed_; }

  std::size_t channels() {
    const nlohmann::json status = agent().status();
    std::size_t sum = 0;
    for (const auto& host : status.at("hosts")) {
      sum += host.at("channels").get<std::size_t>() + host.at("channels_opening").get<std::size_t>();
    }
    return sum;
  }
  std::size_t connections() {
    const nlohmann::json status = agent().status();
    std::size_t sum = 0;
    for (const auto& each : status.at("forwards")) sum += each.at("connections").get<std::size_t>();
    return sum;
  }
  // Of the agent, without those of second connections to a host, which stay for a minute after their last
  // use.
  std::size_t descriptors() {
    const nlohmann::json status = agent().status();
    std::size_t lanes = 0;
    for (const auto& host : status.at("hosts")) lanes += host.at("lanes").get<std::size_t>();
    return status.at("agent").at("descriptors").get<std::size_t>() - lanes;
  }
  std::size_t targets_open() const { return target_.open() + path_target_.open(); }
  std::vector<std::string> target_complaints() const {
    std::vector<std::string> all = target_.complaints();
    for (const std::string& text : path_target_.complaints()) all.push_back(text);
    return all;
  }

 private:
  static LabOptions options(Sshd& other, const KeyPair& key, const TempDir& directory) {
    other.authorize(key);
    LabOptions options;
    options.sshd.config = {"RekeyLimit 8M"};
    options.other_hosts = {host_for(kOther, other, key, directory.write("known_hosts", other.known_hosts()))};
    return options;
  }

  nlohmann::json open(const std::string& spec, const std::string& via, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"forward", "--via", via};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back(spec);
    return lab_.agent().ctl_json(arguments).at("forward");
  }
  std::string add_port(const std::string& spec, const std::string& via, std::vector<std::string> more) {
    const nlohmann::json forward = open(spec, via, std::move(more));
    doors_.push_back(Door{port_of(forward.at("listen")), {}});
    return forward.at("id");
  }
  void add_path(const std::string& name, const std::string& target, const std::string& via) {
    const std::string path = directory_.file(name);
    open(path + target, via, {});
    doors_.push_back(Door{0, path});
  }

  TempDir directory_;
  const KeyPair& key_;
  Sshd other_;
  SoakTarget target_;
  SoakTarget path_target_;
  const ReservedPort nobody_;
  Lab lab_;
  std::vector<Door> doors_;
  Door closed_;
  std::string prewarmed_;
};

struct Memory {
  std::size_t at_first = 0, early = 0, at_last = 0;  // resident; early: after the first tenth of the run
  std::uint64_t most_held = 0;                       // seen held for clients that do not read
};

// Asks the agent how it is for that long.
void watch(Scene& scene, Duration duration, Memory& memory) {
  const auto well = [&] {
    const nlohmann::json agent = scene.agent().status().at("agent");
    memory.most_held = std::max(memory.most_held, agent.at("window_held").get<std::uint64_t>());
    return agent.at("window_held") <= agent.at("window_budget");
  };
  EXPECT_TRUE(always(well, duration)) << memory.most_held << " bytes are held";
}

// Runs the clients to their end.
Tally soak(Scene& scene, std::uint64_t seed, Duration duration, Memory& memory) {
  const pid_t agent = scene.agent().pid();
  const TimePoint end = Clock::now() + duration;
  std::vector<std::future<Tally>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::async(std::launch::async, [&scene, seed, i, end] {
      return SoakClient(seed + i, scene.doors(), &scene.closed()).run(end);
    }));
  }
  watch(scene, duration / 10, memory);
  memory.early = resident_bytes(agent);
  watch(scene, end - Clock::now(), memory);
  Tally all;
  for (auto& client : clients) all += client.get();
  return all;
}

constexpr const char* kUnderWay[] = {"queued_out", "held_in", "channels_closing", "answers_owed", "waiting"};

bool at_rest(const nlohmann::json& status) {
  return std::ranges::all_of(status.at("hosts"), [](const auto& host) {
    return std::ranges::all_of(kUnderWay, [&](const char* amount) { return host.at(amount) == 0; });
  });
}

void expect_nothing_left(Scene& scene, std::size_t descriptors) {
  EXPECT_TRUE(eventually([&] { return scene.connections() == 0; }, kSettleDeadline)) << scene.connections();
  EXPECT_TRUE(eventually([&] { return scene.channels() == kPrewarm; }, kSettleDeadline)) << scene.channels();
  EXPECT_TRUE(eventually([&] { return scene.targets_open() == kPrewarm; }, kSettleDeadline))
      << scene.targets_open() << " connections are open at the targets";
  EXPECT_TRUE(eventually([&] { return scene.descriptors() == descriptors; }, kSettleDeadline))
      << descriptors << " -> " << scene.descriptors();
  scene.agent().ctl_json({"close", scene.prewarmed()});
  EXPECT_TRUE(eventually([&] { return scene.channels() == 0; }, kSettleDeadline)) << scene.channels();

  EXPECT_TRUE(eventually([&] { return at_rest(scene.agent().status()); }, kSettleDeadline))
      << scene.agent().status();
  const nlohmann::json status = scene.agent().status();
  EXPECT_EQ(status.at("agent").at("window_held"), 0);
  for (const auto& host : status.at("hosts")) {
    EXPECT_EQ(host.at("state"), "ready") << host;
    EXPECT_EQ(host.at("logins"), 1) << "the connection broke: " << host;
    if (host.at("host") == Lab::kBastion) {
      // A machine that is very slow moves too little for it.
      if (host.at("bytes_in").get<double>() + host.at("bytes_out").get<double>() > 32e6) {
        EXPECT_GT(host.at("rekeys"), 0) << host;
      }
    }
  }
}

std::string report(const Tally& tally, const Memory& memory, const nlohmann::json& status) {
  std::ostringstream out;
  out << "soak: " << tally.describe() << "\nsoak: memory " << memory.at_first / 1024 << " KiB, after a tenth "
      << memory.early / 1024 << " KiB, at the end " << memory.at_last / 1024 << " KiB; at most "
      << memory.most_held / 1024 << " KiB held for clients\n";
  for (const auto& host : status.at("hosts")) out << "soak: " << host << "\n";
  return std::move(out).str();
}

TEST(Soak, NothingIsLeftWhenManyClientsHaveDoneTheirWorst) {
  const std::uint64_t seed = env_number("JUMPAGENT_SOAK_SEED", std::random_device()());
  const seconds duration(env_number("JUMPAGENT_SOAK_SECONDS", 5));
  std::cout << "soak: " << duration.count() << " s, JUMPAGENT_SOAK_SEED=" << seed << std::endl;
  Scene scene;
  const pid_t agent = scene.agent().pid();
  ASSERT_TRUE(eventually([&] { return scene.channels() == kPrewarm; }));
  const std::size_t descriptors = scene.descriptors();
  Memory memory;
  memory.at_first = resident_bytes(agent);

  const Tally tally = soak(scene, seed, duration, memory);

  expect_nothing_left(scene, descriptors);
  memory.at_last = resident_bytes(agent);
  EXPECT_LT(memory.at_last, memory.early + kMemoryMargin);
  for (const std::string& text : tally.complaints) ADD_FAILURE() << text;
  for (const std::string& text : scene.target_complaints()) ADD_FAILURE() << text;
  std::cout << report(tally, memory, scene.agent().status());
}

}  // namespace
}  // namespace jump::test
