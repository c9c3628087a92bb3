// Transport against a real sshd: `sshd -i` on one end of a socket pair, with throw-away keys, and a poll()
// loop here. Every cipher, host key and kind of user key that we prefer, rekeying under load, and ends at
// awkward moments.
#include "transport/transport.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/wire.h"
#include "integration/leak_check.h"

namespace jump {
namespace {

using State = Transport::State;
using Kind = AuthOutcome::Kind;

// --- user keys, made by OpenSSL ----------------------------------------------------------------------------

std::string base64(ByteView data) {
  std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), data.data(),
                                   static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

Bytes mpint(const BIGNUM* number) {
  Bytes magnitude(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, magnitude.data());
  if (!magnitude.empty() && magnitude[0] >= 0x80) magnitude.insert(magnitude.begin(), 0);
  return WireWriter().string(magnitude).take();
}

class UserKey {
 public:
  virtual ~UserKey() = default;
  virtual Bytes blob() const = 0;
  // The signature blob, as ssh-agent returns it.
  virtual Bytes sign(const SignRequest& request) const = 0;

 protected:
  explicit UserKey(EVP_PKEY* key) : key_(key, EVP_PKEY_free) {}

  Bytes raw_signature(const EVP_MD* digest, ByteView data) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::size_t size = 0;
    EVP_DigestSignInit(context, nullptr, digest, nullptr, key_.get());
    EVP_DigestSign(context, nullptr, &size, data.data(), data.size());
    Bytes out(size);
    EVP_DigestSign(context, out.data(), &size, data.data(), data.size());
    out.resize(size);
    EVP_MD_CTX_free(context);
    return out;
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

class Ed25519Key : public UserKey {
 public:
  Ed25519Key() : UserKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")) {}
  Bytes blob() const override {
    Bytes raw(32);
    std::size_t size = raw.size();
    EVP_PKEY_get_raw_public_key(key_.get(), raw.data(), &size);
    return WireWriter().string("ssh-ed25519").string(raw).take();
  }
  Bytes sign(const SignRequest& request) const override {
    return WireWriter().string(request.algorithm).string(raw_signature(nullptr, request.data)).take();
  }
};

class RsaKey : public UserKey {
 public:
  RsaKey() : UserKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{3072})) {}
  Bytes blob() const override {
    return WireWriter()
        .string("ssh-rsa")
        .raw(number(OSSL_PKEY_PARAM_RSA_E))
        .raw(number(OSSL_PKEY_PARAM_RSA_N))
        .take();
  }
  Bytes sign(const SignRequest& request) const override {
    const EVP_MD* digest = request.algorithm == "rsa-sha2-512"   ? EVP_sha512()
                           : request.algorithm == "rsa-sha2-256" ? EVP_sha256()
                                                                 : EVP_sha1();
    return WireWriter().string(request.algorithm).string(raw_signature(digest, request.data)).take();
  }

 private:
  Bytes number(const char* name) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    Bytes out = mpint(value);
    BN_free(value);
    return out;
  }
};

class EcdsaKey : public UserKey {
 public:
  explicit EcdsaKey(int bits)
      : UserKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC",
                                  bits == 256   ? "P-256"
                                  : bits == 384 ? "P-384"
                                                : "P-521")),
        bits_(bits) {}
  Bytes blob() const override {
    Bytes point(133);
    std::size_t size = 0;
    EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size);
    point.resize(size);
    const std::string curve = "nistp" + std::to_string(bits_);
    return WireWriter().string("ecdsa-sha2-" + curve).string(curve).string(point).take();
  }
  Bytes sign(const SignRequest& request) const override {
    const EVP_MD* digest = bits_ == 256 ? EVP_sha256() : bits_ == 384 ? EVP_sha384() : EVP_sha512();
    const Bytes der = raw_signature(digest, request.data);
    const unsigned char* at = der.data();
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    const Bytes numbers =
        WireWriter().raw(mpint(ECDSA_SIG_get0_r(pair))).raw(mpint(ECDSA_SIG_get0_s(pair))).take();
    ECDSA_SIG_free(pair);
    return WireWriter().string(request.algorithm).string(numbers).take();
  }

 private:
  int bits_;
};

// --- sshd --------------------------------------------------------------------------------------------------

constexpr char kSshd[] = "/usr/sbin/sshd";

std::string user_name() {
  const passwd* entry = getpwuid(getuid());
  return entry != nullptr ? entry->pw_name : "root";
}

// A directory with host keys of each kind, the user's keys, and the configuration file of the next sshd.
class Site {
 public:
  Site() {
    std::string pattern = (std::filesystem::temp_directory_path() / "jump-transport-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    if (getuid() == 0)
      std::filesystem::create_directories("/run/sshd");  // sshd's privilege separation wants it
    keygen("ed25519", "-t ed25519");
    for (const char* bits : {"256", "384", "521"})
      keygen(std::string("ecdsa") + bits, std::string("-t ecdsa -b ") + bits);
    keygen("rsa", "-t rsa -b 2048");
    std::ofstream keys(directory_ / "authorized_keys");
    for (const UserKey* key :
         {static_cast<UserKey*>(&ed25519), static_cast<UserKey*>(&ecdsa256), static_cast<UserKey*>(&ecdsa384),
          static_cast<UserKey*>(&ecdsa521), static_cast<UserKey*>(&rsa)}) {
      const Bytes blob = key->blob();
      keys << WireReader(blob).text() << " " << base64(blob) << "\n";
    }
    std::ofstream(directory_ / "banner") << "This bastion is monitored.\n";
  }
  ~Site() { std::filesystem::remove_all(directory_); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  // The path of a configuration with these lines first (sshd takes a setting's first value).
  std::string config(const std::string& lines, const std::string& host_key) const {
    const std::filesystem::path path = directory_ / "sshd_config";
    std::ofstream out(path);
    out << lines << "\n"
        << "HostKey " << (directory_ / host_key).string() << "\n"
        << "AuthorizedKeysFile " << (directory_ / "authorized_keys").string() << "\n"
        << "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        << "KbdInteractiveAuthentication no\nPidFile none\nLogLevel ERROR\n";
    return path.string();
  }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }

  Bytes host_key_blob(const std::string& host_key) const {
    std::ifstream in(directory_ / (host_key + ".pub"));
    std::string type;
    std::string text;
    in >> type >> text;
    Bytes out(text.size());
    const int size = EVP_DecodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
    const auto padding = static_cast<std::size_t>(std::count(text.begin(), text.end(), '='));
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
  }

  Ed25519Key ed25519;
  EcdsaKey ecdsa256{256};
  EcdsaKey ecdsa384{384};
  EcdsaKey ecdsa521{521};
  RsaKey rsa;

 private:
  void keygen(const std::string& name, const std::string& options) const {
    const std::string command =
        "ssh-keygen -q -N '' " + options + " -f '" + (directory_ / name).string() + "' </dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::filesystem::path directory_;
};

// --- a client ----------------------------------------------------------------------------------------------

class Client : public PacketHandler {
 public:
  Client(const Site& site, const std::string& config_lines = "", const TransportOptions& options = {},
         const std::string& host_key = "ed25519") {
    const std::string config = site.config(config_lines, host_key);
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    child_ = fork();
    if (child_ == 0) {
      dup2(ends[1], STDIN_FILENO);
      dup2(ends[1], STDOUT_FILENO);
      execl(kSshd, kSshd, "-i", "-e", "-f", config.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    ::close(ends[1]);
    socket_ = ends[0];
    fcntl(socket_, F_SETFL, O_NONBLOCK);
    auto made = Transport::create(options, this);
    EXPECT_TRUE(made.ok());
    transport = std::move(made).value();
    transport->advance();
  }
  ~Client() {
    if (socket_ >= 0) ::close(socket_);
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void on_packet(ByteView payload) override { on_payload(payload); }

  // Moves bytes until `done`, the transport's failure, or ten seconds of silence.
  bool run(const std::function<bool()>& done) {
    while (!done()) {
      if (transport->state() == State::kFailed || !turn()) return done();
    }
    return true;
  }

  bool reach_userauth() {
    if (!run([&] { return transport->state() != State::kExchange; })) return false;
    transport->accept_host_key();
    return transport->advance() == State::kUserauth;
  }

  AuthOutcome none() {
    transport->start_none(user_name());
    transport->advance();
    return wait_outcome();
  }

  AuthOutcome publickey(const UserKey& key) {
    transport->start_publickey(user_name(), key.blob());
    transport->advance();
    std::optional<SignRequest> request;
    run([&] { return (request = transport->take_sign_request()).has_value() || peek_outcome(); });
    if (request) {
      sign_algorithm = request->algorithm;
      transport->provide_signature(key.sign(*request));
      transport->advance();
    }
    return wait_outcome();
  }

  bool login(const UserKey& key) { return reach_userauth() && publickey(key).kind == Kind::kSuccess; }

  // As sshd sees it: the client has gone.
  void hang_up() {
    ::shutdown(socket_, SHUT_WR);
    run([] { return false; });
  }

  const std::string& error() const { return transport->error().message; }

  std::unique_ptr<Transport> transport;
  std::function<void(ByteView)> on_payload = [](ByteView) {};
  std::string sign_algorithm;

 private:
  bool peek_outcome() {
    if (!outcome_) outcome_ = transport->take_outcome();
    return outcome_.has_value();
  }
  AuthOutcome wait_outcome() {
    EXPECT_TRUE(run([&] { return peek_outcome(); })) << error();
    return std::exchange(outcome_, std::nullopt).value_or(AuthOutcome{});
  }

  bool turn() {
    constexpr int kSilenceMs = 10000;
    constexpr std::size_t kPiece = 64 * 1024;
    pollfd entry{socket_, POLLIN, 0};
    if (!transport->output().empty()) entry.events |= POLLOUT;
    if (poll(&entry, 1, kSilenceMs) <= 0) return false;
    if ((entry.revents & POLLOUT) != 0) {
      const ByteView out = transport->output().front();
      const ssize_t sent = ::send(socket_, out.data(), out.size(), MSG_NOSIGNAL);
      if (sent > 0) transport->output().consume(static_cast<std::size_t>(sent));
      if (sent < 0 && errno == EPIPE) transport->output().clear();
    }
    if ((entry.revents & (POLLIN | POLLHUP)) != 0) {
      Bytes buffer(kPiece);
      const ssize_t got = ::read(socket_, buffer.data(), buffer.size());
      if (got > 0) transport->feed(ByteView(buffer).first(static_cast<std::size_t>(got)));
      if (got == 0 || (got < 0 && errno == ECONNRESET)) transport->feed_eof();
      transport->advance();
    }
    return true;
  }

  int socket_ = -1;
  pid_t child_ = -1;
  std::optional<AuthOutcome> outcome_;
};

class TransportSshd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (access(kSshd, X_OK) == 0) site_ = new Site;
  }
  static void TearDownTestSuite() {
    delete site_;
    site_ = nullptr;
  }
  void SetUp() override {
    if (site_ == nullptr) GTEST_SKIP() << "there is no " << kSshd;
  }
  static Site* site_;
};
Site* TransportSshd::site_ = nullptr;

// --- algorithms --------------------------------------------------------------------------------------------

class SshdCipher : public TransportSshd, public testing::WithParamInterface<const char*> {};

TEST_P(SshdCipher, LogsIn) {
  TransportOptions options;
  options.ciphers = GetParam();
  Client client(*site_, "", options);
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  EXPECT_NE(client.transport->describe_algorithms().find(GetParam()), std::string::npos);
}
INSTANTIATE_TEST_SUITE_P(Transport, SshdCipher,
                         testing::Values("aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                                         "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr",
                                         "aes256-ctr"));

class SshdMac : public TransportSshd, public testing::WithParamInterface<const char*> {};

TEST_P(SshdMac, LogsIn) {
  TransportOptions options;
  options.ciphers = "aes128-ctr";
  options.macs = GetParam();
  Client client(*site_, "", options);
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  EXPECT_NE(client.transport->describe_algorithms().find(GetParam()), std::string::npos);
}
INSTANTIATE_TEST_SUITE_P(Transport, SshdMac,
                         testing::Values("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com",
                                         "hmac-sha2-256", "hmac-sha2-512"));

class SshdKex : public TransportSshd, public testing::WithParamInterface<const char*> {};

TEST_P(SshdKex, LogsIn) {
  std::optional<LeaksOfEcdh> leaks;
  if (std::string_view(GetParam()).starts_with("ecdh-sha2-nistp")) leaks.emplace();
  TransportOptions options;
  options.kex = GetParam();
  Client client(*site_, "", options);
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  EXPECT_EQ(client.transport->describe_algorithms().find(GetParam()), 0u);
}
INSTANTIATE_TEST_SUITE_P(Transport, SshdKex,
                         testing::Values("curve25519-sha256", "curve25519-sha256@libssh.org",
                                         "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
                                         "diffie-hellman-group-exchange-sha256",
                                         "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512"));

TEST_F(TransportSshd, HostKeysOfEveryKindAreReportedAsTheyAre) {
  for (const char* name : {"ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"}) {
    Client client(*site_, "", {}, name);
    ASSERT_TRUE(client.run([&] { return client.transport->state() == State::kHostKey; }))
        << name << client.error();
    const Bytes expected = site_->host_key_blob(name);
    EXPECT_EQ(client.transport->host_key().blob, expected) << name;
    EXPECT_EQ(client.transport->host_key().algorithm, WireReader(expected).text()) << name;
    EXPECT_EQ(client.transport->server_banner().find("SSH-2.0-OpenSSH"), 0u);
  }
}

TEST_F(TransportSshd, RsaHostKeysSignWithEitherSha2) {
  for (const char* algorithm : {"rsa-sha2-256", "rsa-sha2-512"}) {
    TransportOptions options;
    options.host_key_algorithms = algorithm;
    Client client(*site_, "", options, "rsa");
    EXPECT_TRUE(client.reach_userauth()) << client.error();
  }
}

TEST_F(TransportSshd, NoCommonAlgorithmIsNamed) {
  Client client(*site_, "Ciphers aes256-cbc");
  client.run([] { return false; });
  EXPECT_EQ(client.error().find("no common cipher: the server offers \"aes256-cbc\""), 0u) << client.error();
}

// --- login -------------------------------------------------------------------------------------------------

TEST_F(TransportSshd, EveryKindOfUserKeyLogsIn) {
  const std::pair<const UserKey*, const char*> keys[] = {{&site_->ed25519, "ssh-ed25519"},
                                                         {&site_->ecdsa256, "ecdsa-sha2-nistp256"},
                                                         {&site_->ecdsa384, "ecdsa-sha2-nistp384"},
                                                         {&site_->ecdsa521, "ecdsa-sha2-nistp521"},
                                                         {&site_->rsa, "rsa-sha2-512"}};
  for (const auto& [key, algorithm] : keys) {
    Client client(*site_);
    ASSERT_TRUE(client.login(*key)) << algorithm << client.error();
    EXPECT_EQ(client.sign_algorithm, algorithm);
  }
}

TEST_F(TransportSshd, NoneListsTheMethodsAndUnknownKeysFailUntilAKnownOneComes) {
  Client client(*site_);
  ASSERT_TRUE(client.reach_userauth()) << client.error();
  AuthOutcome outcome = client.none();
  EXPECT_EQ(outcome.kind, Kind::kFailure);
  EXPECT_EQ(outcome.can_continue, std::vector<std::string>{"publickey"});

  const Ed25519Key stranger;
  outcome = client.publickey(stranger);
  EXPECT_EQ(outcome.kind, Kind::kFailure);
  EXPECT_FALSE(outcome.key_was_accepted);
  EXPECT_EQ(outcome.can_continue, std::vector<std::string>{"publickey"});

  EXPECT_EQ(client.publickey(site_->ed25519).kind, Kind::kSuccess) << client.error();
  EXPECT_EQ(client.transport->state(), State::kConnection);
}

TEST_F(TransportSshd, ASignatureByAnotherKeyIsRefused) {
  struct Forger : UserKey {
    Forger(Bytes blob, const UserKey& signer) : UserKey(nullptr), blob_(std::move(blob)), signer_(signer) {}
    Bytes blob() const override { return blob_; }
    Bytes sign(const SignRequest& request) const override { return signer_.sign(request); }
    Bytes blob_;
    const UserKey& signer_;
  };
  const Ed25519Key stranger;
  Client client(*site_);
  ASSERT_TRUE(client.reach_userauth()) << client.error();
  const AuthOutcome outcome = client.publickey(Forger(site_->ed25519.blob(), stranger));
  EXPECT_EQ(outcome.kind, Kind::kFailure);
  EXPECT_TRUE(outcome.key_was_accepted);
}

TEST_F(TransportSshd, PartialSuccessWantsASecondKey) {
  Client client(*site_, "AuthenticationMethods publickey,publickey");
  ASSERT_TRUE(client.reach_userauth()) << client.error();
  EXPECT_EQ(client.publickey(site_->ed25519).kind, Kind::kPartial);
  EXPECT_EQ(client.publickey(site_->rsa).kind, Kind::kSuccess);
}

TEST_F(TransportSshd, TheBannerIsHandedOn) {
  Client client(*site_, "Banner " + site_->path("banner"));
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  EXPECT_EQ(client.transport->take_userauth_banner(), "This bastion is monitored.\n");
}

TEST_F(TransportSshd, TooManyAttemptsEndWithTheServersReason) {
  Client client(*site_, "MaxAuthTries 2");
  ASSERT_TRUE(client.reach_userauth()) << client.error();
  const Ed25519Key stranger;
  client.publickey(stranger);
  client.transport->start_publickey(user_name(), stranger.blob());
  client.transport->advance();
  client.run([] { return false; });
  EXPECT_EQ(client.transport->error().code, Errc::kAuth);
  EXPECT_EQ(client.error(), "server disconnected: Too many authentication failures");
}

// --- ends --------------------------------------------------------------------------------------------------

TEST_F(TransportSshd, TheEndIsNamedInEveryPhase) {
  {
    Client client(*site_);
    ASSERT_TRUE(client.run([&] { return !client.transport->server_banner().empty(); }));
    if (client.transport->state() == State::kExchange) {
      client.hang_up();
      EXPECT_EQ(client.error(), "connection closed by the server during key exchange");
    }
  }
  {
    Client client(*site_);
    ASSERT_TRUE(client.run([&] { return client.transport->state() == State::kHostKey; }));
    client.hang_up();
    EXPECT_EQ(client.error(), "connection closed by the server while its host key was being checked");
  }
  {
    Client client(*site_);
    ASSERT_TRUE(client.reach_userauth());
    client.hang_up();
    EXPECT_EQ(client.error(), "connection closed by the server during login");
  }
  {
    Client client(*site_);
    ASSERT_TRUE(client.login(site_->ed25519));
    client.hang_up();
    EXPECT_EQ(client.error(), "connection closed by the server");
  }
}

// --- the connection protocol -------------------------------------------------------------------------------

// Accepts one TCP connection on loopback and sends back what it gets.
class Echo {
 public:
  Echo() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Echo() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  std::uint16_t port = 0;

 private:
  void serve() const {
    const int peer = accept(listener_, nullptr, nullptr);
    if (peer < 0) return;
    Bytes buffer(64 * 1024);
    for (ssize_t got = 0; (got = read(peer, buffer.data(), buffer.size())) > 0;) {
      for (ssize_t at = 0, sent = 0; at < got; at += sent) {
        sent = ::send(peer, buffer.data() + at, static_cast<std::size_t>(got - at), MSG_NOSIGNAL);
        if (sent <= 0) break;
      }
    }
    ::close(peer);
  }

  int listener_;
  std::thread thread_;
};

// One direct-tcpip channel to an echo service: the little of RFC 4254 that this takes.
class EchoChannel {
 public:
  EchoChannel(Client* client, std::uint16_t port) : client_(client) {
    client_->on_payload = [this](ByteView payload) { on_packet(payload); };
    queue_.push_back(WireWriter()
                         .u8(90)
                         .string("direct-tcpip")
                         .u32(0)
                         .u32(0x7fffffff)  // window: this test never grants more
                         .u32(32768)
                         .string("127.0.0.1")
                         .u32(port)
                         .string("127.0.0.1")
                         .u32(1)
                         .take());
  }

  // Sends `size` bytes of a pattern and waits for all of them to come back unchanged.
  bool echo(std::size_t size) {
    const bool done = client_->run([&] {
      fill(size);
      flush();
      return received_ >= size || broken_;
    });
    return done && !broken_ && received_ == size;
  }

 private:
  static std::uint8_t pattern(std::size_t at) { return static_cast<std::uint8_t>(at * 31 + at / 977); }

  void fill(std::size_t size) {
    constexpr std::size_t kMaxQueued = 1 << 20;
    while (open_ && sent_ < size && window_ > 0 && client_->transport->output().size() < kMaxQueued &&
           queue_.size() < 8) {
      Bytes data(std::min<std::size_t>({size - sent_, window_, 32768}));
      for (std::uint8_t& byte : data) byte = pattern(sent_++);
      window_ -= data.size();
      queue_.push_back(WireWriter().u8(94).u32(remote_).string(data).take());
    }
  }

  void flush() {
    while (!queue_.empty() && client_->transport->send_packet(queue_.front(), {}))
      queue_.erase(queue_.begin());
  }

  void on_packet(ByteView payload) {
    WireReader reader(payload);
    switch (reader.u8()) {
      case 80:
        return;  // hostkeys-00@openssh.com
      case 91:
        reader.u32();
        remote_ = reader.u32();
        window_ = reader.u32();
        open_ = true;
        return;
      case 93:
        reader.u32();
        window_ += reader.u32();
        return;
      case 94: {
        reader.u32();
        for (std::uint8_t byte : reader.string()) broken_ = broken_ || byte != pattern(received_++);
        return;
      }
      default:
        broken_ = true;
    }
  }

  Client* client_;
  std::vector<Bytes> queue_;
  bool open_ = false;
  bool broken_ = false;
  std::uint32_t remote_ = 0;
  std::size_t window_ = 0;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

TEST_P(SshdCipher, EchoesThroughAChannelAndARekeyOrTwo) {
  Echo echo;
  TransportOptions options;
  options.ciphers = GetParam();
  Client client(*site_, "RekeyLimit 1M", options);
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  EchoChannel channel(&client, echo.port);
  EXPECT_TRUE(channel.echo(3 << 20)) << client.error();
  EXPECT_GE(client.transport->rekeys(), 1u);
}

TEST_F(TransportSshd, EchoesThroughAChannelWithManyRekeys) {
  Echo echo;
  Client client(*site_, "RekeyLimit 1M");
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  EchoChannel channel(&client, echo.port);
  EXPECT_TRUE(channel.echo(20 << 20)) << client.error();
  EXPECT_GE(client.transport->rekeys(), 10u);
}

TEST_F(TransportSshd, DisconnectEndsTheSession) {
  Client client(*site_);
  ASSERT_TRUE(client.login(site_->ed25519)) << client.error();
  client.transport->disconnect();
  client.run([] { return false; });
  EXPECT_EQ(client.transport->error().code, Errc::kClosed);
}

}  // namespace
}  // namespace jump
