// Stock ssh and our HostKeyPolicy meet the same server with the same files and settings, and must agree: on
// whether the key is accepted, on the question, and on what is in the files afterwards. What the lines of one
// file mean has its own table in known_hosts_test.cpp, whole logins are in host_key_login_test.cpp.
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "auth/host_key_check.h"
#include "auth/host_pattern.h"
#include "auth/public_key.h"
#include "support/process.h"
#include "support/scripted_prompter.h"
#include "support/sim_io.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using test::read_file;
using test::run_process;
using test::ScriptedPrompter;
using test::TempDir;

// What came of one attempt, in a form that both sides have.
struct Outcome {
  bool accepted = false;
  std::vector<std::string> questions;
  std::string user, user2;  // the files afterwards

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  out << (outcome.accepted ? "accepted" : "refused") << "\n--- user\n"
      << outcome.user << "--- user2\n"
      << outcome.user2;
  for (const std::string& question : outcome.questions) out << "--- asked\n" << question << "\n";
  return out;
}

// One attempt. Files: nullptr is no file, "$DIR" a directory. Texts as KnownHostsVerdicts::expand has them.
struct Case {
  const char* what;
  bool accepted;  // so that a test that asks the wrong question is noticed
  const char* strict;
  const char* user;
  const char* user2 = nullptr;
  const char* global = nullptr;
  std::vector<std::string> options =
      {};                         // of ssh: HostKeyAlias, HashKnownHosts, RevokedHostKeys, UserKnownHostsFile
  const char* revoked = nullptr;  // the file of RevokedHostKeys, "$KRL(list)": made by ssh-keygen -k
  std::vector<std::string> answers = {};
  const char* host = "127.0.0.1";
};

// A server with an Ed25519 and an ECDSA key; keys that it does not have.
class KnownHostsVerdicts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    test::SshdOptions options;
    options.host_keys = {test::KeyKind::kEd25519, test::KeyKind::kEcdsa256};
    options.config = {"ListenAddress ::1"};
    sshd = std::make_unique<test::Sshd>(options);
    others = std::make_unique<TempDir>();
    test::generate_key(test::KeyKind::kEd25519, others->file("ed25519"));
    test::generate_key(test::KeyKind::kRsa3072, others->file("rsa"));
  }
  static void TearDownTestSuite() {
    sshd.reset();
    others.reset();
  }

  // $E: the server's Ed25519 key, $C: its ECDSA key, $X: another Ed25519 key, $R: an RSA key; $P: the port;
  // $F: the fingerprint of $E; $H(name): the name hashed by ssh-keygen.
  std::string expand(std::string text) {
    auto replace = [&](const std::string& what, const std::string& with) {
      for (std::size_t at; (at = text.find(what)) != std::string::npos;) text.replace(at, what.size(), with);
    };
    replace("$E", sshd->host_key(0).public_line);
    replace("$F", sshd->host_key(0).fingerprint);
    replace("$C", sshd->host_key(1).public_line);
    replace("$X", line_of("ed25519"));
    replace("$R", line_of("rsa"));
    replace("$P", std::to_string(sshd->port()));
    for (std::smatch match; std::regex_search(text, match, std::regex(R"(\$H\(([^)]*)\))"));)
      replace(match.str(0), hashed(match.str(1)));
    return text;
  }
  static std::string line_of(const std::string& name) {
    std::string text = read_file(others->file(name + ".pub"));
    return text.substr(0, text.find(' ', text.find(' ') + 1));
  }
  // The same each time, though a salt is drawn.
  std::string hashed(const std::string& name) {
    std::string& known = hashed_[name];
    if (!known.empty()) return known;
    std::string path = dir.write("to_hash", name + " " + sshd->host_key(0).public_line + "\n");
    run_process({"ssh-keygen", "-q", "-H", "-f", path}, seconds(10));
    std::string text = read_file(path);
    return known = text.substr(0, text.find(' '));
  }

  void put(const std::string& name, const char* text) {
    run_process({"rm", "-rf", dir.file(name)}, seconds(10));
    if (text == nullptr) return;
    if (std::string_view(text) == "$DIR") {
      dir.make_dir(name);
    } else {
      dir.write(name, expand(text));
    }
  }
  void put_files(const Case& c) {
    put("user", c.user);
    put("user2", c.user2);
    put("global", c.global);
    std::string_view revoked = c.revoked ? c.revoked : "";
    if (revoked.starts_with("$KRL(")) {
      put("revoked", nullptr);
      std::string list = dir.write("list", expand(std::string(revoked.substr(5, revoked.size() - 6))));
      test::ProcessResult made =
          run_process({"ssh-keygen", "-q", "-k", "-f", dir.file("revoked"), list}, seconds(10));
      ASSERT_TRUE(made.ok()) << made.describe();
    } else {
      put("revoked", c.revoked);
    }
  }
  static bool has(const Case& c, std::string_view option) {
    return std::find(c.options.begin(), c.options.end(), option) != c.options.end();
  }
  static std::string value(const Case& c, std::string_view name) {
    for (const std::string& option : c.options)
      if (option.starts_with(std::string(name) + "=")) return option.substr(name.size() + 1);
    return {};
  }
  std::string name_of(const Case& c) {
    std::string alias = value(c, "HostKeyAlias");
    return alias.empty() ? known_hosts_name(c.host, sshd->port()) : known_hosts_name(alias, 22);
  }

  // A hashed name that means ours becomes "|1|OURS": salts differ.
  std::string unsalted(const std::string& text, const std::string& name) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      std::string line = text.substr(at, end - at);
      std::size_t column = line.find(' ');
      if (line.starts_with("|1|") && match_host_column(name, line.substr(0, column)) == HostMatch::kYes)
        line = "|1|OURS" + line.substr(column);
      out += line;
      at = end;
    }
    return out;
  }
  // Hashed names that were there before have the same salt on both sides.
  Outcome files_after(const Case& c) {
    Outcome outcome;
    outcome.user = unsalted(read_file(dir.file("user")), name_of(c));
    outcome.user2 = unsalted(read_file(dir.file("user2")), name_of(c));
    return outcome;
  }

  Outcome by_ssh(const Case& c) {
    put_files(c);
    dir.write("asked", "");
    std::string answers;
    for (const std::string& answer : c.answers) answers += expand(answer) + "\n";
    dir.write("answers", answers);
    // Takes the first line of "answers"; fails when there is none, as a person who goes away.
    std::string askpass = dir.write("askpass",
                                    "#!/bin/sh\ncd " + dir.path() +
                                        "\nprintf '%s\\0' \"$1\" >>asked\nread -r answer <answers || exit 1\n"
                                        "sed -i 1d answers\nprintf '%s\\n' \"$answer\"\n",
                                    0700);
    std::vector<std::string> argv = {"ssh", "-F", "none", "-v", "-p", std::to_string(sshd->port())};
    auto option = [&](const std::string& text) { argv.insert(argv.end(), {"-o", text}); };
    for (const std::string& each : c.options) option(each);
    option("PreferredAuthentications=none");
    option(std::string("StrictHostKeyChecking=") + c.strict);
    option("UserKnownHostsFile=" + dir.file("user") + " " + dir.file("user2"));
    option("GlobalKnownHostsFile=" + dir.file("global"));
    if (c.revoked) option("RevokedHostKeys=" + dir.file("revoked"));
    argv.insert(argv.end(), {c.host, "true"});
    test::Environment env = test::base_environment();
    env["SSH_ASKPASS"] = askpass;
    env["SSH_ASKPASS_REQUIRE"] = "force";
    test::ProcessResult result = run_process(argv, seconds(30), env);
    bool in = result.err.find("Authentications that can continue") != std::string::npos;
    bool out = result.err.find("Host key verification failed") != std::string::npos;
    EXPECT_NE(in, out) << "no verdict: " << result.err;
    Outcome outcome = files_after(c);
    outcome.accepted = in;
    std::string asked = read_file(dir.file("asked"));
    for (std::size_t at = 0; at < asked.size();) {
      std::size_t end = asked.find('\0', at);
      outcome.questions.push_back(asked.substr(at, end - at));
      at = end + 1;
    }
    return outcome;
  }

  HostKeySpec spec_of(const Case& c) {
    HostKeySpec spec;
    spec.hop = spec.host = spec.host_name = c.host;
    std::string alias = value(c, "HostKeyAlias");
    spec.name = alias.empty() ? c.host : alias;
    spec.port = alias.empty() ? sshd->port() : std::uint16_t{22};
    spec.ssh_command = "ssh x";
    if (value(c, "UserKnownHostsFile") != "none") {
      spec.files = {dir.file("user"), dir.file("user2")};
      spec.user_files = 2;
    }
    spec.files.push_back(dir.file("global"));
    spec.hash_known_hosts = has(c, "HashKnownHosts=yes");
    spec.may_ask = !has(c, "BatchMode=yes");
    if (c.revoked) spec.revoked_host_keys = dir.file("revoked");
    for (auto [text, strict] : {std::pair{"yes", StrictHostKeyChecking::kYes},
                                {"accept-new", StrictHostKeyChecking::kAcceptNew},
                                {"ask", StrictHostKeyChecking::kAsk},
                                {"no", StrictHostKeyChecking::kNo}})
      if (std::string_view(c.strict) == text) spec.strict = strict;
    return spec;
  }

  // The key that the server shows to us: the first type of our list that it has.
  HostKey shown(const HostKeyFiles& files, const HostKeySpec& spec) {
    std::string order = prefer_known_types("ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512",
                                           files.known.known_types(spec.name, spec.port));
    bool ecdsa_first = order.find("ecdsa") < order.find("ed25519");
    Result<PublicKey> key = parse_public_key_line(sshd->host_key(ecdsa_first ? 1 : 0).public_line);
    EXPECT_TRUE(key.ok());
    return {key->type, key->blob};
  }

  Outcome by_us(const Case& c) {
    put_files(c);
    test::SimIo io;
    ScriptedPrompter prompter(io);
    for (const std::string& answer : c.answers) prompter.answers.push_back(expand(answer));
    HostKeySpec spec = spec_of(c);
    auto files = std::make_shared<HostKeyFiles>(HostKeyFiles::load(spec));
    std::string address = std::string_view(c.host) == "::1" ? "::1" : "127.0.0.1";
    HostKeyCheck check(io, &prompter, spec, files, shown(*files, spec),
                       known_hosts_name(address, sshd->port()), [] {});
    check.start();
    io.settle();
    Outcome outcome = files_after(c);
    outcome.accepted = check.outcome() && check.outcome()->ok();
    for (const Question& question : prompter.questions) {
      bool again = &question != &prompter.questions.front();
      outcome.questions.push_back((again ? "" : question.text + "\n") + question.prompts.at(0).text);
    }
    return outcome;
  }

  void expect_same(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
      SCOPED_TRACE(std::string(c.what) + ", StrictHostKeyChecking " + c.strict);
      Outcome theirs = by_ssh(c);
      EXPECT_EQ(by_us(c), theirs);
      EXPECT_EQ(theirs.accepted, c.accepted);
    }
  }

  static inline std::unique_ptr<test::Sshd> sshd;
  static inline std::unique_ptr<TempDir> others;
  TempDir dir;
  std::map<std::string, std::string> hashed_;
};

TEST_F(KnownHostsVerdicts, StrictYesAcceptsWhatIsKnownAndChangesNothing) {
  expect_same({
      {"no file", false, "yes", nullptr},
      {"empty files", false, "yes", "", "", ""},
      {"known", true, "yes", "[127.0.0.1]:$P $E\n"},
      {"known in the second file", true, "yes", "dev $X\n", "[127.0.0.1]:$P $E\n"},
      {"known in the system's file", true, "yes", nullptr, nullptr, "[127.0.0.1]:$P $E\n"},
      {"known under the plain name", true, "yes", "127.0.0.1 $E\n"},
      {"hashed", true, "yes", "$H([127.0.0.1]:$P) $E\n"},
      {"no final newline", true, "yes", "# x\n[127.0.0.1]:$P $E"},
      {"CRLF", true, "yes", "dev $X\r\n[127.0.0.1]:$P $E\r\n"},
      {"tabs and a comment", true, "yes", "\t[127.0.0.1]:$P\t$E\tme@home\n"},
      {"malformed lines around", true, "yes",
       "[127.0.0.1]:$P\n[127.0.0.1]:$P ssh-ed25519 AAAA\n[127.0.0.1]:$P $E\n@\n|1|\n"},
      {"wildcard and negation", true, "yes", "[127.0.0.*]:*,![127.0.0.2]:* $E\n"},
      {"negated", false, "yes", "*,![127.0.0.1]:$P,!127.0.0.1 $E\n"},
      {"changed", false, "yes", "[127.0.0.1]:$P $X\n"},
      {"changed in one file, right in another", true, "yes", "[127.0.0.1]:$P $X\n", nullptr,
       "[127.0.0.1]:$P $E\n"},
      {"revoked by marker", false, "yes", "[127.0.0.1]:$P $E\n", nullptr, "@revoked * $E\n"},
      {"authority only", false, "yes", "@cert-authority * $E\n"},
      {"alias", true, "yes", "prod $E\n", nullptr, nullptr, {"HostKeyAlias=prod"}},
      {"alias in capitals", true, "yes", "prod $E\n", nullptr, nullptr, {"HostKeyAlias=PROD"}},
      {"capitals in the file", true, "yes", "PROD $E\n", nullptr, nullptr, {"HostKeyAlias=prod"}},
      {"alias that is an IPv6 literal",
       true,
       "yes",
       "fe80::1 $E\n",
       nullptr,
       nullptr,
       {"HostKeyAlias=fe80::1"}},
      {"IPv6 literal in brackets is another name",
       false,
       "yes",
       "[fe80::1] $E\n",
       nullptr,
       nullptr,
       {"HostKeyAlias=fe80::1"}},
      {"a file that is a directory", true, "yes", "$DIR", "[127.0.0.1]:$P $E\n"},
      {"user file none", true, "yes", nullptr, nullptr, "[127.0.0.1]:$P $E\n", {"UserKnownHostsFile=none"}},
      {"user file none hides the user's",
       false,
       "yes",
       "[127.0.0.1]:$P $E\n",
       nullptr,
       nullptr,
       {"UserKnownHostsFile=none"}},
  });
}

// The server has an Ed25519 and an ECDSA key: the one that is known is asked for.
TEST_F(KnownHostsVerdicts, TheKeyThatIsKnownIsAskedFor) {
  expect_same({
      {"only its ECDSA key", true, "yes", "[127.0.0.1]:$P $C\n"},
      {"its ECDSA key and an RSA key", true, "yes", "[127.0.0.1]:$P $R\n[127.0.0.1]:$P $C\n"},
      {"only an RSA key that it has not", false, "yes", "[127.0.0.1]:$P $R\n"},
      {"another Ed25519 key and its ECDSA key", false, "yes", "[127.0.0.1]:$P $X\n[127.0.0.1]:$P $C\n"},
      {"its Ed25519 key revoked", true, "yes", "@revoked * $E\n[127.0.0.1]:$P $E\n[127.0.0.1]:$P $C\n"},
      {"its ECDSA key under the plain name", false, "yes", "127.0.0.1 $C\n"},
  });
}

TEST_F(KnownHostsVerdicts, AcceptNewAndNoRecordANewKey) {
  for (const char* strict : {"accept-new", "no"}) {
    expect_same({
        {"no file", true, strict, nullptr},
        {"empty file", true, strict, ""},
        {"others are kept", true, strict, "# mine\ndev $X\n", "web $R\n"},
        {"hashed", true, strict, "", nullptr, nullptr, {"HashKnownHosts=yes"}},
        {"hashed alias",
         true,
         strict,
         nullptr,
         nullptr,
         nullptr,
         {"HashKnownHosts=yes", "HostKeyAlias=Prod"}},
        {"alias in capitals", true, strict, nullptr, nullptr, nullptr, {"HostKeyAlias=PROD"}},
        {"alias with an odd character", true, strict, nullptr, nullptr, nullptr, {"HostKeyAlias=a#b"}},
        {"alias that is an IPv6 literal", true, strict, nullptr, nullptr, nullptr, {"HostKeyAlias=fe80::1"}},
        {"known already", true, strict, "[127.0.0.1]:$P $E\n"},
        {"known to the system", true, strict, nullptr, nullptr, "[127.0.0.1]:$P $E\n"},
        {"known in the second file", true, strict, "", "[127.0.0.1]:$P $E\n"},
        {"known under the plain name", true, strict, "127.0.0.1 $E\n"},
        {"another key under the plain name", true, strict, "127.0.0.1 $X\n"},
        {"authority only", true, strict, "@cert-authority * $X\n"},
        {"a directory in place of the file", true, strict, "$DIR"},
        {"no user file", false, strict, nullptr, nullptr, nullptr, {"UserKnownHostsFile=none"}},
        {"BatchMode", true, strict, nullptr, nullptr, nullptr, {"BatchMode=yes"}},
    });
  }
}

// ssh 9.2 writes the new key behind the last one, into the same line, and so loses it; later ones do not.
TEST_F(KnownHostsVerdicts, AFileWithoutAFinalNewlineGetsOne) {
  for (const char* text : {"dev $X", "dev $X\r\ndev $R\r"}) {
    Case c{"no final newline", true, "accept-new", text};
    Outcome ours = by_us(c);
    EXPECT_TRUE(ours.accepted);
    EXPECT_EQ(ours.user, expand(std::string(text) + "\n[127.0.0.1]:$P $E\n"));
    EXPECT_EQ(by_ssh(c).accepted, ours.accepted);
  }
}

TEST_F(KnownHostsVerdicts, AcceptNewRefusesWhatIsChangedOrRevoked) {
  expect_same({
      {"changed", false, "accept-new", "[127.0.0.1]:$P $X\n"},
      {"changed, of another type", false, "accept-new", "[127.0.0.1]:$P $R\n"},
      {"changed for the system", false, "accept-new", nullptr, nullptr, "[127.0.0.1]:$P $X\n"},
      {"hashed and changed", false, "accept-new", "$H([127.0.0.1]:$P) $X\n"},
      {"revoked", false, "accept-new", "@revoked [127.0.0.1]:$P $E\n"},
  });
}

// The one exception: ssh goes on without passwords and forwards, which are all that this agent is for.
TEST_F(KnownHostsVerdicts, WhatIsChangedOrRevokedIsRefusedWhereNoLetsSshGoOn) {
  for (const char* text : {"[127.0.0.1]:$P $X\n", "@revoked [127.0.0.1]:$P $E\n"}) {
    Case c{"no", true, "no", text};
    Outcome theirs = by_ssh(c);
    EXPECT_TRUE(theirs.accepted);
    Outcome ours = by_us(c);
    EXPECT_FALSE(ours.accepted);
    EXPECT_EQ(ours.user, theirs.user);
  }
}

TEST_F(KnownHostsVerdicts, AskPutsTheSameQuestionAndTakesTheSameAnswers) {
  auto asked = [](const char* what, bool accepted, const char* user, std::vector<std::string> answers) {
    Case c{what, accepted, "ask", user};
    c.answers = std::move(answers);
    return c;
  };
  Case hashing = asked("hashed", true, nullptr, {"yes"});
  hashing.options = {"HashKnownHosts=yes", "HostKeyAlias=prod"};
  Case second = asked("known by other names in several files", true, "web $E\n", {"yes"});
  second.user2 = "$H(db) $E\n@revoked x $X\nweb2 $C\n";
  second.global = "a,b,c $E comment\n";
  Case batch = asked("BatchMode", false, nullptr, {});
  batch.options = {"BatchMode=yes"};
  Case none = asked("no user file", false, nullptr, {});
  none.options = {"UserKnownHostsFile=none"};
  Case name = asked("by name", true, nullptr, {"yes"});
  name.host = "LocalHost";
  name.options = {"AddressFamily=inet"};
  expect_same({
      asked("yes", true, nullptr, {"yes"}),
      asked("yes in capitals", true, "", {"  YES "}),
      asked("the fingerprint", true, "dev $X\n", {"$F"}),
      asked("no", false, "", {"no"}),
      asked("nothing", false, "", {""}),
      asked("gone", false, "", {}),
      asked("neither, then yes", true, "", {"y", "$Fx", "yes"}),
      asked("neither, then no", false, "", {"yes!", "NO"}),
      asked("known: nobody is asked", true, "[127.0.0.1]:$P $E\n", {}),
      asked("changed: nobody is asked", false, "[127.0.0.1]:$P $X\n", {}),
      asked("many other names", true, "a $E\nb $E\nc $E\nd $E\ne $E\nf $E\ng $E\nh $E\ni $E\nj $E\n",
            {"yes"}),
      hashing,
      second,
      batch,
      none,
      name,
  });
}

TEST_F(KnownHostsVerdicts, AnIpv6LiteralIsRecordedAsSshDoes) {
  Case c{"IPv6", true, "ask", nullptr};
  c.answers = {"yes"};
  c.host = "::1";
  test::ProcessResult reach =
      run_process({"ssh-keyscan", "-T", "5", "-p", std::to_string(sshd->port()), "::1"}, seconds(15));
  if (reach.out.empty()) GTEST_SKIP() << "no IPv6 on loopback here";
  expect_same({c});
  Case strict{"IPv6", true, "yes", "[::1]:$P $E\n"};
  strict.host = "::1";
  expect_same({strict});
}

TEST_F(KnownHostsVerdicts, RevokedHostKeysAreRefusedWhateverElseIsSaid) {
  const char* known = "[127.0.0.1]:$P $E\n";
  auto with = [&](const char* what, bool accepted, const char* strict, const char* revoked) {
    Case c{what, accepted, strict, known};
    c.revoked = revoked;
    return c;
  };
  Case missing = with("a missing file", false, "yes", nullptr);
  missing.revoked = "";
  expect_same({
      with("others", true, "yes", "# gone\n\n$X\n$R comment\n"),
      with("an empty list", true, "yes", ""),
      with("listed", false, "yes", "$X\n  $E me@home\n"),
      with("listed, no checking", false, "no", "$E\n"),
      with("listed, to be asked", false, "ask", "$E\n"),
      with("not a list", false, "yes", "nonsense\n"),
      with("its other key", true, "yes", "$C\n"),
      with("a directory", false, "yes", "$DIR"),
      with("KRL of others", true, "yes", "$KRL($X\n$R\n)"),
      with("KRL by key", false, "yes", "$KRL($X\n$E\n)"),
      with("KRL by SHA-1", false, "yes", "$KRL(sha1: $E\n)"),
      with("KRL by SHA-256", false, "no", "$KRL(sha256: $E\n)"),
      with("KRL by fingerprint", false, "yes", "$KRL(hash: $F\n)"),
  });
}

}  // namespace
}  // namespace jump
