// What the seam believes about libssh2's internals. Everything here is true of 1.11.1; if one of these fails
// after a change of libssh2, read its source before anything else. (That _libssh2_packet_add() is wrapped,
// and that reading and sending mean what seam.h says, is shown by every test of Transport.)
#include "transport/seam.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "transport/libssh2_internals.h"

namespace jump {
namespace {

constexpr long kIntegratedMac = 1;
constexpr long kLengthIsAssociatedData = 2;
constexpr long kRequiresFullPacket = 4;

std::vector<const LIBSSH2_CRYPT_METHOD*> table(const LIBSSH2_CRYPT_METHOD** methods) {
  std::vector<const LIBSSH2_CRYPT_METHOD*> out;
  for (; *methods != nullptr; ++methods) out.push_back(*methods);
  return out;
}

// Every field before the functions, of methods whose numbers are known from their specifications: a field
// added, removed or moved would show.
TEST(Seam, KnowsTheLayoutOfLibssh2sCipherTable) {
  struct Expected {
    int blocksize, iv_len, secret_len, auth_len;
    long flags;
  };
  const std::map<std::string, Expected> expected = {
      {"chacha20-poly1305@openssh.com", {8, 0, 64, 16, kRequiresFullPacket}},
      {"aes256-gcm@openssh.com", {16, 12, 32, 16, kIntegratedMac | kLengthIsAssociatedData}},
      {"aes128-gcm@openssh.com", {16, 12, 16, 16, kIntegratedMac | kLengthIsAssociatedData}},
      {"aes256-ctr", {16, 16, 32, 0, 0}},
      {"aes192-ctr", {16, 16, 24, 0, 0}},
      {"aes128-ctr", {16, 16, 16, 0, 0}},
  };
  std::size_t found = 0;
  for (const LIBSSH2_CRYPT_METHOD* method : table(__real_libssh2_crypt_methods())) {
    const auto it = expected.find(method->name);
    if (it == expected.end()) continue;
    ++found;
    EXPECT_STREQ(method->pem_annotation, "") << method->name;
    EXPECT_EQ(method->blocksize, it->second.blocksize) << method->name;
    EXPECT_EQ(method->iv_len, it->second.iv_len) << method->name;
    EXPECT_EQ(method->secret_len, it->second.secret_len) << method->name;
    EXPECT_EQ(method->auth_len, it->second.auth_len) << method->name;
    EXPECT_EQ(method->flags, it->second.flags) << method->name;
    const bool has_length = std::string_view(method->name).starts_with("chacha20");
    EXPECT_EQ(method->get_len != nullptr, has_length) << method->name;
    EXPECT_NE(method->init, nullptr);
    EXPECT_NE(method->crypt, nullptr);
    EXPECT_NE(method->dtor, nullptr);
    if (!has_length) {
      ASSERT_NE(method->algo, nullptr);
      EXPECT_EQ(EVP_CIPHER_get_key_length(method->algo()), method->secret_len) << method->name;
    }
  }
  EXPECT_EQ(found, expected.size());
}

TEST(Seam, ReplacesThreeCiphersAndLeavesTheOthersAndTheOrder) {
  const auto theirs = table(__real_libssh2_crypt_methods());
  const auto ours = table(__wrap_libssh2_crypt_methods());
  ASSERT_EQ(ours.size(), theirs.size());
  int replaced = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_STREQ(ours[i]->name, theirs[i]->name);
    if (ours[i] == theirs[i]) continue;
    ++replaced;
    EXPECT_EQ(ours[i]->blocksize, theirs[i]->blocksize);
    EXPECT_EQ(ours[i]->iv_len, theirs[i]->iv_len);
    EXPECT_EQ(ours[i]->secret_len, theirs[i]->secret_len);
    EXPECT_EQ(ours[i]->auth_len, theirs[i]->auth_len);
    EXPECT_EQ(ours[i]->flags, kRequiresFullPacket);
  }
  EXPECT_EQ(replaced, 3);
}

// The fields that can be set from outside, up to the two that the seam uses and that follow right behind
// them.
TEST(Seam, KnowsTheBeginningOfASession) {
  int mine = 0;
  LIBSSH2_SESSION* session = libssh2_session_init_ex(nullptr, nullptr, nullptr, &mine);
  libssh2_session_method_pref(session, LIBSSH2_METHOD_KEX, "curve25519-sha256");
  libssh2_session_method_pref(session, LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519");
  libssh2_session_flag(session, LIBSSH2_FLAG_COMPRESS, 1);
  libssh2_session_set_blocking(session, 0);
  libssh2_session_set_timeout(session, 1234567);
  libssh2_session_method_pref(session, LIBSSH2_METHOD_SIGN_ALGO, "rsa-sha2-512");
  libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_SC, "aes128-gcm@openssh.com");
  libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_CS, "aes256-gcm@openssh.com");
  libssh2_session_method_pref(session, LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256");
  const auto* head = reinterpret_cast<const LIBSSH2_SESSION_HEAD*>(session);
  EXPECT_EQ(head->abstract, &mine);
  EXPECT_STREQ(head->kex_prefs, "ext-info-c,kex-strict-c-v00@openssh.com,curve25519-sha256");
  EXPECT_STREQ(head->hostkey_prefs, "ssh-ed25519");
  EXPECT_EQ(head->state & 4, 0);
  EXPECT_EQ(head->flags[1], 1);
  EXPECT_EQ(head->api_block_mode, 0);
  EXPECT_EQ(head->api_timeout, 1234567);
  EXPECT_EQ(head->hostkey, nullptr);
  EXPECT_EQ(head->server_hostkey_abstract, nullptr);
  EXPECT_STREQ(head->sign_algo_prefs, "rsa-sha2-512");
  EXPECT_EQ(head->kex_strict, 0);
  EXPECT_STREQ(head->remote.prefs[0], "aes128-gcm@openssh.com");
  EXPECT_STREQ(head->remote.prefs[1], "hmac-sha2-256");
  EXPECT_STREQ(head->local.prefs[0], "aes256-gcm@openssh.com");
  EXPECT_EQ(head->remote.crypt, nullptr);
  EXPECT_EQ(head->remote.seqno, 0U);
  libssh2_session_free(session);
}

// libssh2 itself must see the replaced table: its public list of ciphers comes from there.
TEST(Seam, IsWhatLibssh2AsksForItsCiphers) {
  EXPECT_EQ(__wrap_libssh2_crypt_methods(), __wrap_libssh2_crypt_methods());
  LIBSSH2_SESSION* session = libssh2_session_init();
  const char** names = nullptr;
  const int count = libssh2_session_supported_algs(session, LIBSSH2_METHOD_CRYPT_CS, &names);
  const auto ours = table(__wrap_libssh2_crypt_methods());
  ASSERT_EQ(static_cast<std::size_t>(count), ours.size());
  bool same_pointers = true;
  for (std::size_t i = 0; i < ours.size(); ++i) same_pointers = same_pointers && names[i] == ours[i]->name;
  EXPECT_TRUE(same_pointers);
  libssh2_free(session, names);
  libssh2_session_free(session);
}

TEST(Seam, RunsWithTheLibraryThatItWasCompiledAgainst) {
  EXPECT_STREQ(libssh2_version(0), LIBSSH2_VERSION);
  EXPECT_STREQ(libssh2_version(0), "1.11.1");
}

}  // namespace
}  // namespace jump
