// The judge alone; that it agrees with stock ssh is checked by tests/integration/known_hosts_test.cpp.
#include "auth/known_hosts.h"

#include <gtest/gtest.h>

#include "auth/base64.h"
#include "auth/fingerprint.h"
#include "auth/host_key_error.h"
#include "auth/host_pattern.h"
#include "base/wire.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using Kind = HostKeyVerdict::Kind;

HostKey ed25519(std::uint8_t seed) {
  return {"ssh-ed25519", WireWriter().string("ssh-ed25519").string(Bytes(32, seed)).take()};
}

HostKey rsa(std::uint8_t seed) {
  Bytes modulus(257, seed);
  modulus[0] = 0;
  return {"ssh-rsa", WireWriter().string("ssh-rsa").string(Bytes{1, 0, 1}).string(modulus).take()};
}

std::string line(std::string_view hosts, const HostKey& key) {
  return std::string(hosts) + " " + key.algorithm + " " + base64_encode(key.blob) + "\n";
}

KnownHosts of(std::string text) {
  KnownHosts known;
  known.add_text("known_hosts", std::move(text));
  return known;
}

const HostKey kOne = ed25519(1), kTwo = ed25519(2), kRsa = rsa(0xd1);

TEST(KnownHosts, SameKeyIsKnownAndNamesItsLine) {
  HostKeyVerdict verdict = of("# comment\n\n" + line("prod", kOne)).check("prod", 22, kOne);
  EXPECT_EQ(verdict.kind, Kind::kKnown);
  ASSERT_TRUE(verdict.line.has_value());
  EXPECT_EQ(verdict.line->file, "known_hosts");
  EXPECT_EQ(verdict.line->line, 3u);
  EXPECT_EQ(verdict.line->fingerprint, fingerprint(kOne.blob));
}

TEST(KnownHosts, NoLineIsUnknown) {
  EXPECT_EQ(of("").check("prod", 22, kOne).kind, Kind::kUnknown);
  EXPECT_EQ(of(line("other", kOne)).check("prod", 22, kOne).kind, Kind::kUnknown);
}

TEST(KnownHosts, AnotherKeyIsAChange) {
  HostKeyVerdict verdict = of(line("prod", kOne)).check("prod", 22, kTwo);
  EXPECT_EQ(verdict.kind, Kind::kChanged);
  EXPECT_EQ(verdict.line->fingerprint, fingerprint(kOne.blob));
}

TEST(KnownHosts, AnotherTypeIsAChangeToo) {
  EXPECT_EQ(of(line("prod", kRsa)).check("prod", 22, kOne).kind, Kind::kChanged);
}

TEST(KnownHosts, ChangeNamesTheKeyOfTheOfferedType) {
  HostKeyVerdict verdict = of(line("prod", kOne) + line("prod", kRsa)).check("prod", 22, kTwo);
  EXPECT_EQ(verdict.kind, Kind::kChanged);
  EXPECT_EQ(verdict.line->line, 1u);
}

TEST(KnownHosts, AnyMatchingLineWinsOverOthers) {
  EXPECT_EQ(of(line("prod", kTwo) + line("prod", kOne) + line("prod", kRsa)).check("prod", 22, kOne).kind,
            Kind::kKnown);
}

TEST(KnownHosts, RevokedBeatsKnownWhateverTheOrder) {
  EXPECT_EQ(of(line("prod", kOne) + line("@revoked prod", kOne)).check("prod", 22, kOne).kind,
            Kind::kRevoked);
  EXPECT_EQ(of(line("@revoked *", kOne) + line("prod", kOne)).check("prod", 22, kOne).kind, Kind::kRevoked);
  EXPECT_EQ(of(line("@revoked prod", kTwo) + line("prod", kOne)).check("prod", 22, kOne).kind, Kind::kKnown);
  EXPECT_EQ(of(line("@revoked prod", kTwo)).check("prod", 22, kOne).kind, Kind::kUnknown);
}

TEST(KnownHosts, AuthorityLinesSayNothingAboutPlainKeys) {
  EXPECT_EQ(of(line("@cert-authority *", kOne)).check("prod", 22, kOne).kind, Kind::kUnknown);
}

TEST(KnownHosts, OtherPortsAreBracketed) {
  KnownHosts known = of(line("[prod]:2222", kOne));
  EXPECT_EQ(known.check("prod", 2222, kOne).kind, Kind::kKnown);
  EXPECT_EQ(known.check("prod", 2222, kTwo).kind, Kind::kChanged);
  EXPECT_EQ(known.check("prod", 22, kOne).kind, Kind::kUnknown);
  EXPECT_EQ(known.check("prod", 2223, kOne).kind, Kind::kUnknown);
}

TEST(KnownHosts, PlainNameServesOtherPortsOnlyWithTheSameKey) {
  KnownHosts known = of(line("prod", kOne));
  EXPECT_EQ(known.check("prod", 2222, kOne).kind, Kind::kKnown);
  EXPECT_EQ(known.check("prod", 2222, kTwo).kind, Kind::kUnknown);
  EXPECT_EQ(of(line("@revoked prod", kOne)).check("prod", 2222, kOne).kind, Kind::kRevoked);
  EXPECT_EQ(of(line("prod", kOne) + line("[prod]:2222", kTwo)).check("prod", 2222, kOne).kind,
            Kind::kChanged);
}

TEST(KnownHosts, SeveralFilesCountTogether) {
  KnownHosts known;
  known.add_text("first", line("prod", kOne));
  known.add_text("second", "\n" + line("prod", kTwo));
  HostKeyVerdict verdict = known.check("prod", 22, kTwo);
  EXPECT_EQ(verdict.kind, Kind::kKnown);
  EXPECT_EQ(verdict.line->file, "second");
  EXPECT_EQ(verdict.line->line, 2u);
}

TEST(KnownHosts, SurvivesBeingMoved) {
  KnownHosts known;
  for (int i = 0; i < 50; ++i) known.add_text("f", "#\n");  // the texts' owner grows and moves
  known.add_text("f", line("prod", kOne));
  for (int i = 0; i < 50; ++i) known.add_text("f", "a b\n");
  KnownHosts moved = std::move(known);
  EXPECT_EQ(moved.check("prod", 22, kOne).kind, Kind::kKnown);
}

TEST(KnownHosts, BrokenLinesAreSkipped) {
  std::string good = line("prod", kOne);
  for (const std::string& bad :
       {std::string("prod\n"), std::string("prod \n"), std::string("prod ssh-ed25519\n"),
        std::string("prod ssh-ed25519 AAAA\n"), std::string("prod ssh-ed25519 ####\n"),
        line("@bogus prod", kTwo), line("@revoked @revoked prod", kOne), line("|1|bad|hash", kTwo),
        line("|2|x", kTwo), line("|", kTwo), std::string("prod 1024 65537 1234567\n"),
        std::string("prod ssh-ed448 AAAA\n")}) {
    EXPECT_EQ(of(bad).check("prod", 22, kOne).kind, Kind::kUnknown) << bad;
    EXPECT_EQ(of(bad + good).check("prod", 22, kOne).kind, Kind::kKnown) << bad;
  }
}

TEST(KnownHosts, KnownTypesAreListedOnceAndWithoutRevokedOnes) {
  KnownHosts known =
      of(line("prod", kRsa) + line("prod", kOne) + line("prod", kTwo) + line("@cert-authority *", kTwo));
  EXPECT_EQ(known.known_types("prod", 22), (std::vector<std::string>{"ssh-rsa", "ssh-ed25519"}));
  EXPECT_EQ(known.known_types("prod", 2222), std::vector<std::string>{});
  EXPECT_EQ(of(line("prod", kOne) + line("@revoked prod", kOne)).known_types("prod", 22),
            std::vector<std::string>{});
}

TEST(KnownHosts, MissingFilesAreFineAndUnreadableOnesNoted) {
  test::TempDir dir;
  std::string file = dir.write("kh", line("prod", kOne));
  KnownHosts known = KnownHosts::load({dir.file("absent"), file, dir.path(), "/dev/null"});
  EXPECT_EQ(known.check("prod", 22, kOne).kind, Kind::kKnown);
  EXPECT_EQ(known.first_file(), dir.file("absent"));
  EXPECT_EQ(known.notes(), std::vector<std::string>{dir.path() + ": is a directory"});
}

TEST(HostPattern, FollowsTheManual) {
  struct Case {
    const char* name;
    const char* column;
    HostMatch match;
  };
  for (const Case& c : {
           Case{"prod", "prod", HostMatch::kYes},
           {"prod", "PROD", HostMatch::kYes},
           {"prod", "dev,prod", HostMatch::kYes},
           {"prod", "dev,,prod,", HostMatch::kYes},
           {"prod", "prod2", HostMatch::kNo},
           {"a.example.org", "*.example.org", HostMatch::kYes},
           {"a.b.example.org", "*.example.org", HostMatch::kYes},
           {"example.org", "*.example.org", HostMatch::kNo},
           {"web1", "web?", HostMatch::kYes},
           {"web", "web?", HostMatch::kNo},
           {"web10", "web?", HostMatch::kNo},
           {"axbxc", "A*B*C", HostMatch::kYes},
           {"abcbcd", "a*bcd", HostMatch::kYes},
           {"bad.example.org", "*.example.org,!bad.example.org", HostMatch::kNo},
           {"bad.example.org", "!bad.example.org,*.example.org", HostMatch::kNo},
           {"prod", "!dev", HostMatch::kNo},
           {"[prod]:2222", "[prod]:2222", HostMatch::kYes},
           {"[prod]:2222", "[*]:2222", HostMatch::kYes},
           {"[prod]:2222", "*", HostMatch::kYes},
           {"prod", "[prod]:22", HostMatch::kNo},
           {"::1", "::1", HostMatch::kYes},
           {"prod", "", HostMatch::kNo},
           {"prod", "|1|", HostMatch::kBroken},
       }) {
    EXPECT_EQ(match_host_column(c.name, c.column), c.match) << c.name << " / " << c.column;
  }
}

TEST(HostPattern, OverlongPatternEndsTheList) {
  EXPECT_EQ(match_host_column("prod", std::string(2000, 'a') + ",prod"), HostMatch::kNo);
}

TEST(HostPattern, ManyStarsStayCheap) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_EQ(match_host_column(std::string(5000, 'a'), pattern + "b"), HostMatch::kNo);
}

TEST(HostPattern, HashedNameOfOpenSsh) {
  // Made by `ssh-keygen -H` for the name "prod".
  const char* column = "|1|zWFVvWLX7oIaBjfWPn1i0oHrv4Y=|1oMYqdgE1jnWAdauDDPEgXVDllY=";
  EXPECT_EQ(match_host_column("prod", column), HostMatch::kYes);
  EXPECT_EQ(match_host_column("dev", column), HostMatch::kNo);
}

TEST(HostPattern, NamesOfKnownHosts) {
  EXPECT_EQ(known_hosts_name("Prod", 22), "prod");
  EXPECT_EQ(known_hosts_name("Prod", 2222), "[prod]:2222");
  EXPECT_EQ(known_hosts_name("fe80::1", 2222), "[fe80::1]:2222");
}

TEST(PreferKnownTypes, OrdersAsSshDoes) {
  const std::string list = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256";
  EXPECT_EQ(prefer_known_types(list, {}), list);
  EXPECT_EQ(prefer_known_types(list, {"ssh-dss"}), list);
  EXPECT_EQ(prefer_known_types(list, {"ssh-rsa"}),
            "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256");
  EXPECT_EQ(prefer_known_types(list, {"ssh-rsa", "ecdsa-sha2-nistp256"}),
            "ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-ed25519");
  EXPECT_EQ(prefer_known_types(list, {"ssh-rsa", "ssh-ed25519"}), list);  // the best one is known: as it is
  EXPECT_EQ(prefer_known_types("", {"ssh-rsa"}), "");
}

TEST(HostKeyError, UnknownSaysWhatToCompareAndWhatToRun) {
  Error error = host_key_error({"prod", "10.0.0.5", 2222, "ssh -F cfg prod", "/home/me/.ssh/known_hosts"}, {}, kOne);
  EXPECT_EQ(error.code, Errc::kHostKey);
  EXPECT_EQ(error.message,
            "host key of prod ([10.0.0.5]:2222) is unknown: ssh-ed25519 " + fingerprint(kOne.blob));
  EXPECT_NE(error.hint.find("ssh -F cfg prod"), std::string::npos);
  EXPECT_NE(error.hint.find("/home/me/.ssh/known_hosts"), std::string::npos);
}

TEST(HostKeyError, ChangedShowsBothKeysAndTheLine) {
  HostKeyVerdict verdict = of(line("[10.0.0.5]:2222", kOne)).check("10.0.0.5", 2222, kTwo);
  Error error = host_key_error({"prod", "10.0.0.5", 2222, "ssh prod", "known_hosts"}, verdict, kTwo);
  EXPECT_EQ(error.message.find("HOST KEY CHANGED"), 0u);
  for (const std::string& part :
       {fingerprint(kOne.blob), fingerprint(kTwo.blob), std::string("known_hosts:1")}) {
    EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
  }
  EXPECT_NE(error.hint.find("ssh-keygen -f known_hosts -R '[10.0.0.5]:2222'"), std::string::npos)
      << error.hint;
}

TEST(HostKeyError, RevokedOffersNoWayToConnect) {
  HostKeyVerdict verdict = of(line("@revoked prod", kOne)).check("prod", 22, kOne);
  Error error = host_key_error({"prod", "prod", 22, "ssh prod", "known_hosts"}, verdict, kOne);
  EXPECT_EQ(error.message.find("HOST KEY REVOKED"), 0u);
  EXPECT_EQ(error.hint.find("ssh-keygen"), std::string::npos);
}

}  // namespace
}  // namespace jump
