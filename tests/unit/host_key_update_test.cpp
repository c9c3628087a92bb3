// A server that tells its other host keys: what is planned, proved and written, and what is left alone.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/base64.h"
#include "auth/host_key_record.h"
#include "auth/host_key_signature.h"
#include "auth/host_key_updater.h"
#include "auth/openssl_ptr.h"
#include "auth/private_key.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux.h"
#include "support/sim_io.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using Next = HostKeyUpdate::Next;
using test::read_file;
using test::TempDir;

constexpr std::string_view kAlgorithms =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";
constexpr std::string_view kSession = "the session";

struct Key {
  PrivateKey secret;
  HostKey shown() const { return {secret.public_key().type, secret.public_key().blob}; }
  std::string line(std::string_view hosts) const {
    return std::string(hosts) + " " + shown().algorithm + " " + base64_encode(shown().blob) + "\n";
  }
};

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

Key take(EVP_PKEY* made) {
  EvpKey owned(made);
  Bio out(BIO_new(BIO_s_mem()));
  EXPECT_EQ(PEM_write_bio_PrivateKey(out.get(), owned.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  char* text = nullptr;
  long size = BIO_get_mem_data(out.get(), &text);
  ByteView pem(reinterpret_cast<const std::uint8_t*>(text), static_cast<std::size_t>(size));
  Result<PrivateKey> key = PrivateKey::from_pem(pem, Secret());
  EXPECT_TRUE(key.ok()) << key.error().message;
  return {std::move(key).value()};
}

const Key& ecdsa() {
  static const Key key = take(EVP_EC_gen("P-256"));
  return key;
}
const Key& ecdsa521() {
  static const Key key = take(EVP_EC_gen("P-521"));
  return key;
}
const Key& rsa() {
  static const Key key = take(EVP_RSA_gen(2048));
  return key;
}

HostKey ed25519(std::uint8_t seed) {
  return {"ssh-ed25519", WireWriter().string("ssh-ed25519").string(Bytes(32, seed)).take()};
}
std::string line(std::string_view hosts, const HostKey& key) {
  return std::string(hosts) + " " + key.algorithm + " " + base64_encode(key.blob) + "\n";
}
const HostKey kOne = ed25519(1), kTwo = ed25519(2);

Bytes list_of(const std::vector<HostKey>& keys) {
  WireWriter out;
  for (const HostKey& key : keys) out.string(key.blob);
  return out.take();
}

KnownHosts of(std::string text) {
  KnownHosts known;
  known.add_text("known_hosts", std::move(text));
  return known;
}

Result<HostKeyUpdate> plan(const std::vector<HostKey>& keys, std::string known) {
  return HostKeyUpdate::plan(list_of(keys), kAlgorithms, "prod", of(std::move(known)));
}

Bytes proof(const Key& key, std::string_view algorithm, std::string_view session = kSession) {
  WireWriter data;
  data.string(HostKeyUpdate::kProveRequest).string(session).string(key.shown().blob);
  Result<Bytes> signature = key.secret.sign(algorithm, data.view());
  EXPECT_TRUE(signature.ok());
  return *signature;
}

TEST(HostKeySignature, OfEachKindIsVerified) {
  const Bytes data{1, 2, 3}, other{1, 2, 4};
  for (auto [key, algorithm] : {std::pair{&ecdsa(), "ecdsa-sha2-nistp256"},
                                {&ecdsa521(), "ecdsa-sha2-nistp521"},
                                {&rsa(), "rsa-sha2-512"},
                                {&rsa(), "rsa-sha2-256"}}) {
    Bytes signature = *key->secret.sign(algorithm, data);
    const PublicKey& shown = key->secret.public_key();
    EXPECT_TRUE(verify_host_key_signature(shown, signature, data)) << algorithm;
    EXPECT_FALSE(verify_host_key_signature(shown, signature, other)) << algorithm;
    for (std::size_t i = 0; i < signature.size(); ++i) {
      Bytes bent = signature;
      bent[i] ^= 1;
      EXPECT_FALSE(verify_host_key_signature(shown, bent, data)) << algorithm << " " << i;
      EXPECT_FALSE(verify_host_key_signature(shown, ByteView(signature).first(i), data))
          << algorithm << " " << i;
    }
  }
}

// RFC 8032, section 7.1, TEST 3.
TEST(HostKeySignature, Ed25519FollowsTheRfc) {
  Bytes point = from_hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  Bytes raw = from_hex(
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
      "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
  PublicKey key;
  key.type = "ssh-ed25519";
  key.blob = WireWriter().string("ssh-ed25519").string(point).take();
  Bytes signature = WireWriter().string("ssh-ed25519").string(raw).take();
  EXPECT_TRUE(verify_host_key_signature(key, signature, Bytes{0xaf, 0x82}));
  EXPECT_FALSE(verify_host_key_signature(key, signature, Bytes{0xaf, 0x83}));
}

TEST(HostKeySignature, Sha1IsNotTrusted) {
  Bytes signature = *rsa().secret.sign("ssh-rsa", Bytes{1});
  Status status = verify_host_key_signature(rsa().secret.public_key(), signature, Bytes{1});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::kUnsupported);
}

TEST(HostKeyUpdate, NothingIsDoneWhereNothingIsNew) {
  auto update = plan({kOne}, line("prod", kOne) + line("dev", kTwo));
  ASSERT_TRUE(update.ok());
  EXPECT_EQ(update->next(), Next::kNothing);
  EXPECT_EQ(update->reason(), "");
  EXPECT_EQ(plan({}, line("prod", kOne))->next(), Next::kNothing);
}

TEST(HostKeyUpdate, OldKeysGoWithoutAProof) {
  auto update = plan({kOne}, line("prod", kOne) + line("prod,10.0.0.5", kTwo));
  EXPECT_EQ(update->next(), Next::kApply);
  ASSERT_EQ(update->forgotten().size(), 1u);
  EXPECT_EQ(update->forgotten()[0].blob, kTwo.blob);
}

TEST(HostKeyUpdate, NewKeysNeedAProofEach) {
  auto update = plan({kOne, ecdsa().shown(), rsa().shown()}, line("prod", kOne));
  ASSERT_EQ(update->next(), Next::kProve);
  EXPECT_EQ(update->proof_request(), list_of({ecdsa().shown(), rsa().shown()}));
  EXPECT_EQ(update->keys().size(), 1u) << "not proved yet";
  Bytes reply =
      WireWriter().string(proof(ecdsa(), "ecdsa-sha2-nistp256")).string(proof(rsa(), "rsa-sha2-512")).take();
  ASSERT_TRUE(update->verify_proofs(reply, as_bytes(kSession)));
  EXPECT_EQ(update->next(), Next::kApply);
  EXPECT_EQ(update->keys().size(), 3u);
  EXPECT_EQ(update->learned().size(), 2u);
}

TEST(HostKeyUpdate, AWrongProofIsTheEndOfAll) {
  Bytes good = WireWriter().string(proof(ecdsa(), "ecdsa-sha2-nistp256")).take();
  Bytes replayed = WireWriter().string(proof(ecdsa(), "ecdsa-sha2-nistp256", "another session")).take();
  Bytes more = WireWriter().raw(good).string("x").take();
  for (const Bytes& reply : {replayed, more, Bytes{}, Bytes{0, 0, 0, 9, 1}}) {
    auto update = plan({kOne, ecdsa().shown()}, line("prod", kOne));
    EXPECT_FALSE(update->verify_proofs(reply, as_bytes(kSession)));
    EXPECT_EQ(update->next(), Next::kProve);
  }
}

TEST(HostKeyUpdate, AnRsaKeyProvedWithSha1IsLeftOut) {
  auto update = plan({kOne, rsa().shown()}, line("prod", kOne));
  ASSERT_TRUE(update->verify_proofs(WireWriter().string(proof(rsa(), "ssh-rsa")).take(), as_bytes(kSession)));
  EXPECT_EQ(update->keys().size(), 1u);
}

TEST(HostKeyUpdate, ComplicatedFilesAreLeftAlone) {
  for (const std::string& text :
       {line("prod,*.prod", kOne), line("prod,a,b", kOne), line("prod", kOne) + line("@revoked prod", kTwo),
        line("prod", kOne) + line("@cert-authority *", kTwo),
        line("prod", kOne) + line("dev", ecdsa().shown()),
        line("prod", kOne) + line("prod", kTwo) + line("dev", kTwo)}) {
    auto update = plan({kOne, ecdsa().shown()}, text);
    ASSERT_TRUE(update.ok());
    EXPECT_EQ(update->next(), Next::kNothing) << text;
    EXPECT_FALSE(update->reason().empty()) << text;
  }
}

TEST(HostKeyUpdate, KeysThatTheUserDoesNotAcceptAreNotLearned) {
  auto update = HostKeyUpdate::plan(list_of({kOne, ecdsa().shown(), rsa().shown()}),
                                    "ssh-ed25519,rsa-sha2-256", "prod", of(line("prod", kOne)));
  EXPECT_EQ(update->proof_request(), list_of({rsa().shown()}));
}

TEST(HostKeyUpdate, ABrokenListIsRefused) {
  EXPECT_FALSE(plan({kOne, kOne}, ""));
  EXPECT_FALSE(HostKeyUpdate::plan(Bytes{0, 0, 0, 5, 1}, kAlgorithms, "prod", of("")));
  std::vector<HostKey> many;
  for (std::size_t i = 0; i <= HostKeyUpdate::kMaxKeys; ++i)
    many.push_back(ed25519(static_cast<std::uint8_t>(i)));
  EXPECT_FALSE(plan(many, ""));
}

// --- files

TEST(HostKeyFileUpdate, OtherLinesStayToTheByte) {
  std::string before = "# mine\r\n\n" + line("dev", kTwo) + line("prod", kTwo) + "prod broken\n" +
                       line("@revoked prod", kTwo) + "  prod\tssh-ed25519 " + base64_encode(kOne.blob) +
                       " me";
  std::string after = with_host_keys(before, "prod", {kOne, ecdsa().shown()}, false);
  std::string expected = "# mine\r\n\n" + line("dev", kTwo) + "prod broken\n" + line("@revoked prod", kTwo) +
                         "  prod\tssh-ed25519 " + base64_encode(kOne.blob) + " me\n" + ecdsa().line("prod");
  EXPECT_EQ(after, expected);
  EXPECT_EQ(with_host_keys(after, "prod", {kOne, ecdsa().shown()}, false), after);
}

TEST(HostKeyFileUpdate, ReplacesAtOnceAndKeepsTheOldOne) {
  TempDir dir;
  std::string file = dir.write("kh", line("prod", kTwo), 0644);
  ASSERT_EQ(symlink(file.c_str(), dir.file("link").c_str()), 0);
  ASSERT_TRUE(replace_host_keys(dir.file("link"), "prod", {kOne}, false));
  EXPECT_EQ(read_file(file), line("prod", kOne));
  EXPECT_EQ(read_file(file + ".old"), line("prod", kTwo));
  struct stat info {};
  ASSERT_EQ(lstat(dir.file("link").c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
}

TEST(HostKeyFileUpdate, WhatIsMissingOrNoFileIsLeftAlone) {
  TempDir dir;
  EXPECT_TRUE(replace_host_keys(dir.file("none"), "prod", {kOne}, false));
  EXPECT_EQ(read_file(dir.file("none")), "");
  EXPECT_TRUE(replace_host_keys("/dev/null", "prod", {kOne}, false));
  struct stat info {};
  ASSERT_EQ(stat("/dev/null", &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
}

// --- the updater

class HostKeyUpdating : public testing::Test {
 protected:
  HostKeyUpdating() {
    spec.name = spec.host = "prod";
    spec.files = {dir.write("kh", line("prod", kOne)),
                  dir.write("kh2", line("prod", kTwo) + line("dev", kOne)), "/dev/null"};
    spec.user_files = 2;
    dir.write("kh2", line("prod", kTwo));
  }
  void run(UpdateHostKeys mode, bool honest = true) {
    HostKeyUpdater updater(io, nullptr, spec, mode, std::string(kAlgorithms), to_bytes(as_bytes(kSession)),
                           [&](ByteView data, HostKeyUpdater::Proved done) {
                             asked = to_bytes(data);
                             io.post([done, honest] {
                               done(honest,
                                    WireWriter().string(proof(ecdsa(), "ecdsa-sha2-nistp256")).take());
                             });
                           });
    updater.on_list(list_of({kOne, ecdsa().shown()}));
    updater.on_list(list_of({kTwo}));  // a second list is ignored
    io.settle();
    EXPECT_TRUE(updater.idle());
  }
  TempDir dir;
  HostKeySpec spec;
  test::SimIo io;
  Bytes asked;
};

TEST_F(HostKeyUpdating, LearnsAndForgets) {
  run(UpdateHostKeys::kYes);
  EXPECT_EQ(asked, list_of({ecdsa().shown()}));
  EXPECT_EQ(read_file(dir.file("kh")), line("prod", kOne) + ecdsa().line("prod"));
  EXPECT_EQ(read_file(dir.file("kh2")), "");
}

TEST_F(HostKeyUpdating, DoesNothingWhereItMustNot) {
  run(UpdateHostKeys::kNo);
  run(UpdateHostKeys::kAsk);  // and nobody is there
  EXPECT_TRUE(asked.empty());
  run(UpdateHostKeys::kYes, false);
  EXPECT_FALSE(asked.empty());
  EXPECT_EQ(read_file(dir.file("kh")), line("prod", kOne));
  EXPECT_EQ(read_file(dir.file("kh2")), line("prod", kTwo));
}

TEST_F(HostKeyUpdating, LosesNothingWhenTheFirstFileIsMissing) {
  dir.write("kh2", line("prod", kOne));
  unlink(dir.file("kh").c_str());
  run(UpdateHostKeys::kYes);
  EXPECT_EQ(read_file(dir.file("kh2")), line("prod", kOne));
}

// --- how the list gets here

struct Sink final : PacketSink {
  bool send_packet(ByteView head, ByteView body) override {
    Bytes packet = to_bytes(head);
    packet.insert(packet.end(), body.begin(), body.end());
    sent.push_back(std::move(packet));
    return true;
  }
  bool has_room() const override { return true; }
  void wake() override {}
  std::vector<Bytes> sent;
};

TEST(MuxGlobalRequest, GoesToTheHandlerAndIsAnsweredAsItSays) {
  Sink sink;
  WindowBudget budget;
  TimePoint now = kLongAgo + seconds(100);
  Mux mux(&sink, &budget, now);
  std::string seen;
  mux.set_global_request_handler([&](std::string_view name, ByteView data) {
    seen += std::string(name) + "(" + std::string(as_text(data)) + ")";
    return name == "good";
  });
  for (auto [name, reply] : {std::pair{"good", true}, {"bad", true}, {"good", false}, {"bad", false}}) {
    mux.handle_packet(
        WireWriter().u8(ssh::kGlobalRequest).string(name).boolean(reply).raw(as_bytes("x")).take(), now);
  }
  mux.pump(now);
  EXPECT_EQ(seen, "good(x)bad(x)good(x)bad(x)");
  ASSERT_EQ(sink.sent.size(), 2u);
  EXPECT_EQ(sink.sent[0], Bytes{ssh::kRequestSuccess});
  EXPECT_EQ(sink.sent[1], Bytes{ssh::kRequestFailure});
  EXPECT_EQ(mux.error(), nullptr);
}

}  // namespace
}  // namespace jump
