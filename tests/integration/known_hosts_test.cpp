// Stock ssh and our judge look at the same known_hosts files and the same server, and must agree: on the
// verdict, on the line that decided, and on the order of host-key algorithms. A real sshd is needed, as only
// `ssh` itself shows what it does about ports and key types; nobody logs in.
#include "auth/known_hosts.h"

#include <gtest/gtest.h>

#include <regex>

#include "auth/public_key.h"
#include "support/process.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using Kind = HostKeyVerdict::Kind;
using test::run_process;
using test::TempDir;

std::string describe(Kind kind, const std::string& where) {
  static constexpr const char* kNames[] = {"known", "unknown", "changed", "revoked"};
  return std::string(kNames[static_cast<int>(kind)]) + (where.empty() ? "" : " by " + where);
}

// One server with an Ed25519 and an ECDSA key, and keys that it does not have.
class KnownHostsAgainstSsh : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    test::SshdOptions options;
    options.host_keys = {test::KeyKind::kEd25519, test::KeyKind::kEcdsa256};
    sshd = std::make_unique<test::Sshd>(options);
    others = std::make_unique<TempDir>();
    test::generate_key(test::KeyKind::kEd25519, others->file("ed25519"));
    test::generate_key(test::KeyKind::kRsa3072, others->file("rsa"));
  }
  static void TearDownTestSuite() {
    sshd.reset();
    others.reset();
  }

  // $E: the server's Ed25519 key, $C: its ECDSA key, $X: another Ed25519 key, $R: an RSA key, each "TYPE
  // BASE64"; $B: $E without its type. $P: the port. $H(name): the name hashed by ssh-keygen.
  std::string expand(std::string text) {
    std::string e = sshd->host_key(0).public_line;
    auto replace = [&](const std::string& what, const std::string& with) {
      for (std::size_t at; (at = text.find(what)) != std::string::npos;) text.replace(at, what.size(), with);
    };
    replace("$E", e);
    replace("$B", e.substr(e.find(' ') + 1));
    replace("$C", sshd->host_key(1).public_line);
    replace("$X", line_of("ed25519"));
    replace("$R", line_of("rsa"));
    replace("$Q", line_of("rsa").substr(line_of("rsa").find(' ') + 1));
    replace("$P", std::to_string(sshd->port()));
    for (std::smatch match; std::regex_search(text, match, std::regex(R"(\$H\(([^)]*)\))"));) {
      replace(match.str(0), hashed(match.str(1)));
    }
    return text;
  }
  static std::string line_of(const std::string& name) {
    std::string text = test::read_file(others->file(name + ".pub"));
    return text.substr(0, text.find(' ', text.find(' ') + 1));
  }
  std::string hashed(const std::string& name) {
    std::string path = dir.write("to_hash", name + " " + sshd->host_key(0).public_line + "\n");
    run_process({"ssh-keygen", "-q", "-H", "-f", path}, seconds(10));
    std::string text = test::read_file(path);
    return text.substr(0, text.find(' '));
  }

  // alias empty: by address and port.
  std::string ask_ssh(const std::vector<std::string>& files, const std::string& alias,
                      bool judge_only = true) {
    std::string list;
    for (const std::string& file : files) list += (list.empty() ? "" : " ") + file;
    std::vector<std::string> argv = {"ssh",  "-F",
                                     "none", "-vv",
                                     "-p",   std::to_string(sshd->port()),
                                     "-o",   "BatchMode=yes",
                                     "-o",   "StrictHostKeyChecking=yes",
                                     "-o",   "PreferredAuthentications=none",
                                     "-o",   "GlobalKnownHostsFile=/dev/null",
                                     "-o",   "UserKnownHostsFile=" + list};
    if (judge_only) argv.insert(argv.end(), {"-o", "HostKeyAlgorithms=ssh-ed25519"});
    if (!alias.empty()) argv.insert(argv.end(), {"-o", "HostKeyAlias=" + alias});
    argv.insert(argv.end(), {"127.0.0.1", "true"});
    return run_process(argv, seconds(20)).err;
  }

  static std::string found(const std::string& output, const std::string& pattern) {
    std::smatch match;
    return std::regex_search(output, match, std::regex(pattern)) ? match.str(1) : "";
  }

  static std::string verdict_of_ssh(const std::string& output) {
    if (output.find("REVOKED HOST KEY DETECTED") != std::string::npos) return describe(Kind::kRevoked, "");
    if (output.find("HOST IDENTIFICATION HAS CHANGED") != std::string::npos) {
      return describe(Kind::kChanged, found(output, R"(Offending \S+ key in (\S+:\d+))"));
    }
    if (output.find(" host key is known for ") != std::string::npos) return describe(Kind::kUnknown, "");
    if (output.find(" is known and matches ") != std::string::npos) {
      return describe(Kind::kKnown, found(output, R"(Found key in (\S+:\d+))"));
    }
    return "no verdict: " + output;
  }

  std::string our_verdict(const std::vector<std::string>& files, const std::string& alias) {
    auto key = parse_public_key_line(sshd->host_key(0).public_line);
    if (!key) return key.error().message;
    KnownHosts known = KnownHosts::load(files);
    HostKey offered{key->type, key->blob};
    HostKeyVerdict verdict =
        alias.empty() ? known.check("127.0.0.1", sshd->port(), offered) : known.check(alias, 22, offered);
    bool named = verdict.line && verdict.kind != Kind::kRevoked;  // ssh does not say which line revoked
    return describe(verdict.kind, named ? verdict.line->file + ":" + std::to_string(verdict.line->line) : "");
  }

  static inline std::unique_ptr<test::Sshd> sshd;
  static inline std::unique_ptr<TempDir> others;
  TempDir dir;
};

struct Case {
  const char* what;
  const char* expected;  // the verdict, so that a test that asks the wrong question is noticed
  const char* alias;     // HostKeyAlias; "": [127.0.0.1]:PORT
  const char* first;     // known_hosts file
  const char* second;    // another one; nullptr: none
};

constexpr Case kCases[] = {
    {"no file at all", "unknown", "prod", nullptr, nullptr},
    {"empty file", "unknown", "prod", "", nullptr},
    {"plain name", "known", "prod", "prod $E\n", nullptr},
    {"no newline at the end", "known", "prod", "prod $E", nullptr},
    {"comment behind", "known", "prod", "prod $E some one's key\n", nullptr},
    {"another name", "unknown", "prod", "dev $E\n", nullptr},
    {"name is a prefix only", "unknown", "prod", "prod2 $E\n", nullptr},
    {"another key", "changed", "prod", "prod $X\n", nullptr},
    {"another type only", "changed", "prod", "prod $R\n", nullptr},
    {"another key of the server", "changed", "prod", "prod $C\n", nullptr},
    {"right key among others", "known", "prod", "prod $X\nprod $E\nprod $R\n", nullptr},
    {"list of names", "known", "prod", "dev,prod,10.0.0.1 $E\n", nullptr},
    {"list with a blank in it", "unknown", "prod", "dev, prod $E\n", nullptr},
    {"star", "known", "web1.example.org", "*.example.org $E\n", nullptr},
    {"star needs the dot", "unknown", "example.org", "*.example.org $E\n", nullptr},
    {"star over dots", "known", "a.b.example.org", "a*.org $E\n", nullptr},
    {"question mark", "known", "web1", "web? $E\n", nullptr},
    {"question mark is one character", "unknown", "web10", "web? $E\n", nullptr},
    {"negation behind", "unknown", "bad.example.org", "*.example.org,!bad.example.org $E\n", nullptr},
    {"negation in front", "unknown", "bad.example.org", "!bad.example.org,*.example.org $E\n", nullptr},
    {"negation of others", "known", "good.example.org", "!bad.example.org,*.example.org $E\n", nullptr},
    {"negation alone", "unknown", "prod", "!dev $E\n", nullptr},
    {"case of the file", "known", "prod", "PROD $E\n", nullptr},
    {"case of the name", "known", "PROD", "prod $E\n", nullptr},
    {"hashed", "known", "prod", "$H(prod) $E\n", nullptr},
    {"hashed other name", "unknown", "prod", "$H(dev) $E\n", nullptr},
    {"hashed, key changed", "changed", "prod", "$H(prod) $X\n", nullptr},
    {"hashed, case of the name", "known", "PrOd", "$H(prod) $E\n", nullptr},
    {"hashed port", "known", "", "$H([127.0.0.1]:$P) $E\n", nullptr},
    {"hashed name in a list", "unknown", "prod", "$H(prod),prod $E\n", nullptr},
    {"broken hash", "unknown", "prod", "|1|abc|def $E\n", nullptr},
    {"broken hash and a good line", "known", "prod", "|1|abc|def $X\nprod $E\n", nullptr},
    {"port in brackets", "known", "", "[127.0.0.1]:$P $E\n", nullptr},
    {"port in brackets, key changed", "changed", "", "[127.0.0.1]:$P $X\n", nullptr},
    {"another port", "unknown", "", "[127.0.0.1]:1 $E\n", nullptr},
    {"port pattern", "known", "", "[127.0.0.*]:* $E\n", nullptr},
    {"star takes brackets", "known", "", "* $E\n", nullptr},
    {"plain name for a port", "known", "", "127.0.0.1 $E\n", nullptr},
    {"plain name for a port, another key", "unknown", "", "127.0.0.1 $X\n", nullptr},
    {"plain name for a port, revoked", "revoked", "", "@revoked 127.0.0.1 $E\n", nullptr},
    {"port changed, plain name right", "changed", "", "127.0.0.1 $E\n[127.0.0.1]:$P $X\n", nullptr},
    {"alias takes no port", "unknown", "prod", "[prod]:$P $E\n", nullptr},
    {"alias hides the address", "unknown", "prod", "127.0.0.1 $E\n[127.0.0.1]:$P $E\n", nullptr},
    {"revoked", "revoked", "prod", "@revoked prod $E\n", nullptr},
    {"revoked in front of known", "revoked", "prod", "@revoked prod $E\nprod $E\n", nullptr},
    {"revoked behind known", "revoked", "prod", "prod $E\n@revoked * $E\n", nullptr},
    {"revoked in another file", "revoked", "prod", "prod $E\n", "@revoked * $E\n"},
    {"revoked other key", "known", "prod", "@revoked prod $X\nprod $E\n", nullptr},
    {"revoked other key only", "unknown", "prod", "@revoked prod $X\n", nullptr},
    {"revoked for another name", "known", "prod", "@revoked dev $E\nprod $E\n", nullptr},
    {"authority", "unknown", "prod", "@cert-authority prod $E\n", nullptr},
    {"authority and plain", "changed", "prod", "@cert-authority prod $E\nprod $X\n", nullptr},
    {"unknown marker", "unknown", "prod", "@trusted prod $E\n", nullptr},
    {"two markers", "unknown", "prod", "@revoked @revoked prod $E\n", nullptr},
    {"marker with tabs only", "revoked", "prod", "@revoked\tprod\tssh-ed25519\t$B\n", nullptr},
    {"marker with a tab, blanks behind", "unknown", "prod", "@revoked\tprod $E\n", nullptr},
    {"tabs", "known", "prod", "\t prod\t $E\n", nullptr},
    {"comments and blank lines", "known", "prod", "# prod $X\n\n   \n  # x\nprod $E\n", nullptr},
    {"carriage returns", "known", "prod", "# x\r\nprod $E\r\n", nullptr},
    {"carriage returns, changed", "changed", "prod", "prod $X\r\n", nullptr},
    {"line without a key", "unknown", "prod", "prod\nprod \nprod ssh-ed25519\n", nullptr},
    {"line with garbage", "known", "prod", "prod ssh-ed25519 AAAA\nprod ssh-foo AAAA\nprod $E\n", nullptr},
    {"type of another key", "unknown", "prod", "prod ssh-rsa $B\n", nullptr},
    {"short type name", "unknown", "prod", "prod ED25519 $B\n", nullptr},
    {"signature algorithm as type", "changed", "prod", "prod rsa-sha2-512 $Q\n", nullptr},
    {"type in capitals", "unknown", "prod", "prod SSH-ED25519 $B\n", nullptr},
    {"no type name", "unknown", "prod", "prod $B\n", nullptr},
    {"key cut short", "unknown", "prod", "prod ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG59itKN\n", nullptr},
    {"protocol 1", "unknown", "prod", "prod 1024 65537 123456789\n", nullptr},
    {"second file", "known", "prod", "dev $X\n", "\nprod $E\n"},
    {"second file has the right key", "known", "prod", "prod $X\n", "prod $E\n"},
    {"second file has the wrong key", "known", "prod", "prod $E\n", "prod $X\n"},
    {"both files wrong", "changed", "prod", "prod $X\n", "prod $R\nprod $X\n"},
};

TEST_F(KnownHostsAgainstSsh, VerdictAndLineAreThoseOfSsh) {
  int number = 0;
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.what);
    std::string prefix = "kh" + std::to_string(number++);
    std::vector<std::string> files = {dir.file(prefix)};
    if (c.first != nullptr) dir.write(prefix, expand(c.first));
    if (c.second != nullptr) files.push_back(dir.write(prefix + "b", expand(c.second)));
    std::string theirs = verdict_of_ssh(ask_ssh(files, c.alias));
    EXPECT_EQ(our_verdict(files, c.alias), theirs);
    EXPECT_EQ(theirs.substr(0, theirs.find(' ')), c.expected);
  }
}

// We name the key of the offered type where ssh names the last key: only there the lines may differ.
TEST_F(KnownHostsAgainstSsh, ChangedKeyOfSameTypeIsNamedBeforeOthers) {
  std::string file = dir.write("kh", expand("prod $X\nprod $R\n"));
  EXPECT_EQ(verdict_of_ssh(ask_ssh({file}, "prod")), "changed by " + file + ":2");
  EXPECT_EQ(our_verdict({file}, "prod"), "changed by " + file + ":1");
}

TEST_F(KnownHostsAgainstSsh, AlgorithmOrderIsThatOfSsh) {
  std::string defaults =
      found(run_process({"ssh", "-F", "none", "-G", "x"}, seconds(10)).out, "hostkeyalgorithms (\\S+)");
  ASSERT_FALSE(defaults.empty());
  int number = 0;
  for (const char* text :
       {"", "prod $E\n", "prod $R\n", "prod $C\n", "prod $R\nprod $C\n", "prod $R\nprod $E\n",
        "prod $R\n@revoked prod $R\n", "dev $R\n", "$H(prod) $R\n"}) {
    SCOPED_TRACE(text);
    std::string file = dir.write("kh" + std::to_string(number++), expand(text));
    std::string output = ask_ssh({file}, "prod", false);
    std::string theirs = found(output, "local client KEXINIT proposal[^]*?host key algorithms: (\\S+)");
    ASSERT_FALSE(theirs.empty()) << output;
    EXPECT_EQ(prefer_known_types(defaults, KnownHosts::load({file}).known_types("prod", 22)), theirs);
  }
}

}  // namespace
}  // namespace jump
