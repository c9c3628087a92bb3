// Other peers than the usual ones: dropbear, and an ssh-agent that takes its time.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include "base/wire.h"
#include "integration/login_attempt.h"
#include "support/build_kind.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/machine_delay.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

// --- dropbear ----------------------------------------------------------------------------------------------

// A dropbear that takes the test's user for one whose home is in a directory of ours (nss_wrapper).
class Dropbear {
 public:
  static constexpr const char* kProgram = "/usr/sbin/dropbear";
  static std::string wrapper() {
    for (const auto& place : std::filesystem::directory_iterator("/usr/lib")) {
      const std::string path = place.path().string() + "/libnss_wrapper.so";
      if (std::filesystem::exists(path)) return path;
    }
    return {};
  }
  static bool possible() { return ::access(kProgram, X_OK) == 0 && ::getuid() == 0 && !wrapper().empty(); }

  Dropbear(const KeyPair& key, const std::string& password) {
    directory_.make_dir(".ssh");
    directory_.write(".ssh/authorized_keys", key.public_line + "\n");
    const ProcessResult hash = run_process({"openssl", "passwd", "-6", password}, seconds(10));
    if (!hash.ok()) setup_error(hash.describe());
    std::string crypted = hash.out.substr(0, hash.out.find('\n'));
    const std::string passwd = fmt::format("{}:x:0:0::{}:/bin/sh\n", current_user(), directory_.path());
    const std::string shadow = fmt::format("{}:{}:19000:0:99999:7:::\n", current_user(), crypted);
    run_tool({"dropbearkey", "-t", "ed25519", "-f", directory_.file("host")});
    const ProcessResult shown =
        run_process({"dropbearkey", "-y", "-f", directory_.file("host")}, seconds(10));
    const std::size_t line = shown.out.find("ssh-ed25519 ");
    if (line == std::string::npos) setup_error(shown.describe());
    known_hosts_ = directory_.write("known_hosts",
                                    fmt::format("[127.0.0.1]:{} {}\n", port_.number(),
                                                shown.out.substr(line, shown.out.find('\n', line) - line)));
    Environment env = base_environment();
    env["LD_PRELOAD"] = wrapper();
    env["NSS_WRAPPER_PASSWD"] = directory_.write("passwd", passwd);
    env["NSS_WRAPPER_GROUP"] = directory_.write("group", "root:x:0:\n");
    env["NSS_WRAPPER_SHADOW"] = directory_.write("shadow", shadow);
    process_ = std::make_unique<Process>(
        Strings{kProgram, "-F", "-E", "-p", "127.0.0.1:" + std::to_string(port_.number()), "-r",
                directory_.file("host"), "-P", directory_.file("pid")},
        env);
    if (!eventually([this] { return Socket::connect_tcp(port_.number()).has_value(); })) {
      setup_error("dropbear did not start: " + process_->err());
    }
  }
  HopSpec spec() const { return spec_for(port_.number(), known_hosts_); }
  std::string log() const { return process_->err(); }

 private:
  TempDir directory_;
  ReservedPort port_;
  std::string known_hosts_;
  std::unique_ptr<Process> process_;
};

TEST(AuthDropbear, LetsInByKeyAndByPassword) {
  if (!Dropbear::possible()) GTEST_SKIP() << "needs dropbear, nss_wrapper and root";
  for (KeyKind kind : {KeyKind::kEd25519, KeyKind::kEcdsa256, KeyKind::kRsa3072}) {
    Dropbear server(user_key(kind), "secret");
    HopSpec spec = server.spec();
    spec.identity_files = {user_key(kind).private_path};
    LoginAttempt attempt;
    EXPECT_TRUE(attempt.run(spec)) << attempt.error().message << server.log();
  }
  Dropbear server(user_key(KeyKind::kEd25519), "secret");
  LoginAttempt attempt({{"wrong"}, {"secret"}});
  EXPECT_TRUE(attempt.run(server.spec())) << attempt.error().message << server.log();
}

// --- an ssh-agent that takes its time ----------------------------------------------------------------------

// Stands before a real ssh-agent and holds each request for a signature back.
class SlowAgent {
 public:
  SlowAgent(std::string target, Duration delay) : target_(std::move(target)), delay_(delay) {
    std::promise<void> listening;
    auto ready = listening.get_future();
    thread_ = std::thread([this, &listening] {
      Loop loop;
      UvIo io(loop);
      run(loop, io, listening);
    });
    ready.wait();
  }
  ~SlowAgent() {
    stop_ = true;
    thread_.join();
  }
  const std::string& socket() const { return socket_; }
  bool was_asked() const { return asked_; }

 private:
  static constexpr std::uint8_t kSignRequest = 13;

  void run(Loop& loop, UvIo& io, std::promise<void>& listening) {
    ListenOptions options;
    options.at.path = socket_;
    std::vector<std::unique_ptr<ByteStream>> streams;
    struct Relay final : StreamHandler {
      SlowAgent* owner = nullptr;
      Io* io = nullptr;
      ByteStream* client = nullptr;
      std::unique_ptr<Timer> timer;
      Bytes buffer;
      std::size_t on_data(ByteView data) override {
        buffer.insert(buffer.end(), data.begin(), data.end());
        const bool whole = buffer.size() > 4 && buffer.size() >= 4 + load_u32(buffer.data());
        if (!whole) return data.size();
        const bool sign = buffer[4] == kSignRequest;
        if (sign) owner->asked_ = true;
        timer = io->timer([this] { pass_on(); });
        timer->start(sign ? owner->delay_ : Duration::zero());
        return data.size();
      }
      void pass_on() {
        std::optional<Socket> agent = Socket::connect_unix(owner->target_);
        ASSERT_TRUE(agent.has_value());
        ASSERT_TRUE(agent->send_all(ByteView(buffer)));
        buffer.clear();
        Bytes head = agent->receive_exactly(4).bytes;
        ASSERT_EQ(head.size(), 4u);
        Bytes body = agent->receive_exactly(load_u32(head.data())).bytes;
        client->write(head);
        client->write(body);
      }
      void on_eof() override {}
      void on_writable() override {}
      void on_closed(const Error*) override {}
    };
    std::vector<std::unique_ptr<Relay>> relays;
    auto listener = io.listen(options, [&](std::unique_ptr<ByteStream> stream) {
      auto relay = std::make_unique<Relay>();
      relay->owner = this;
      relay->io = &io;
      relay->client = stream.get();
      stream->set_handler(relay.get());
      relays.push_back(std::move(relay));
      streams.push_back(std::move(stream));
    });
    listening.set_value();
    auto tick = io.timer([] {});
    while (!stop_) {
      tick->start(milliseconds(20));
      loop.run_once();
    }
    streams.clear();
  }

  TempDir directory_;
  std::string socket_ = directory_.file("slow.sock");
  const std::string target_;
  const Duration delay_;
  std::atomic<bool> stop_ = false, asked_ = false;
  std::thread thread_;
};

TEST(AuthSlowAgent, IsExplainedAndThenLetsIn) {
  AuthServer server;
  server.sshd().authorize(user_key(KeyKind::kEd25519));
  SshAgent keys;
  keys.add(user_key(KeyKind::kEd25519));
  SlowAgent slow(keys.socket(), milliseconds(1500));
  HopSpec spec = server.spec();
  spec.identity_agent = slow.socket();
  LoginAttempt attempt;
  ASSERT_TRUE(attempt.run(spec)) << attempt.error().message << server.log();
  EXPECT_EQ(attempt.prompter.notices.size(), 1u);
  EXPECT_TRUE(attempt.hop->needed_person());
}

// While one login waits for a touch, what goes over other hosts does not notice.
TEST(AuthSlowAgent, HoldsNobodyElseUp) {
  const MachineDelay whole_time;
  Lab lab;
  TcpService echo(TcpService::echo());
  SshAgent keys;
  keys.add(user_key(KeyKind::kEd25519));
  SlowAgent slow(keys.socket(), seconds(5));
  SshConfigHost fast = host_for("fast", lab.sshd(), user_key(KeyKind::kEd25519), lab.known_hosts());
  SshConfigHost touchy = host_for("touchy", lab.sshd(), KeyPair{"none", {}, {}}, lab.known_hosts());
  touchy.identity_agent = slow.socket();
  AgentProcess agent(lab.directory().write("ssh_config_slow", ssh_config_text({fast, touchy})));
  agent.run();
  std::optional<Socket> socket = Socket::connect_tcp(agent.forward_port("fast", echo.port()));
  ASSERT_TRUE(socket.has_value());
  auto connecting = std::async(std::launch::async, [&] { return agent.ctl({"connect", "touchy"}); });
  ASSERT_TRUE(eventually([&] { return slow.was_asked(); }));

  const MachineDelay machine;
  const Stopwatch looking;
  Duration looked{};
  std::vector<double> round_trips;
  while (connecting.wait_for(milliseconds(20)) != std::future_status::ready) {
    const Stopwatch watch;
    ASSERT_TRUE(socket->send_all(std::string_view("x")));
    ASSERT_EQ(socket->receive_exactly(1).text(), "x");
    round_trips.push_back(to_seconds(watch.elapsed()));
    looked = looking.elapsed();
  }
  const ProcessResult connected = connecting.get();
  EXPECT_TRUE(connected.ok()) << connected.describe();
  ASSERT_GT(looked, milliseconds(4500) - machine.lost());  // it did take its time
  ASSERT_FALSE(round_trips.empty());
  std::sort(round_trips.begin(), round_trips.end());
  EXPECT_LT(round_trips[round_trips.size() / 2], 0.02 + to_seconds(machine.worst()));
  // A loop that waited for the signature would have lagged 5 s. What a busy machine adds is not the agent's.
  EXPECT_LT(agent.status().at("agent").at("loop_lag_max").get<double>(),
            (kSanitized ? 1.0 : 0.25) + to_seconds(whole_time.lost()));
}

}  // namespace
}  // namespace jump::test
