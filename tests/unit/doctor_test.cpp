// The doctor's pure parts: what is to blame for what, the table of cures, the files that options come from,
// and how a diagnosis is printed. Whole diagnoses are in tests/integration/doctor_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/diagnosis_text.h"
#include "doctor/advice.h"
#include "doctor/channel_probe.h"
#include "doctor/config_sources.h"
#include "doctor/findings.h"
#include "doctor/way.h"
#include "proto/codec.h"

namespace jump {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

HopSpec a_spec() {
  HopSpec spec;
  spec.alias = "prod";
  spec.ssh_command = "ssh -F cfg -J edge prod";
  spec.host = "10.0.0.5";
  spec.user = "deploy";
  return spec;
}

// --- findings ---

TEST(DoctorFindings, ASuspectIsANoteUntilWhatItExplainsFails) {
  Findings findings("prod");
  findings.suspect(step::kIdentity, "open", "chmod 600 f", {step::kLogin});
  EXPECT_FALSE(findings.failed());
  EXPECT_EQ(findings.steps().front().outcome, "note");
  findings.fail(step::kConnect, "refused");
  EXPECT_EQ(findings.steps().front().outcome, "note");
  findings.fail(step::kLogin, "no");
  EXPECT_EQ(findings.steps().front().outcome, "failed");
}

TEST(DoctorFindings, AppendedOnesBelongToTheHop) {
  Findings findings("prod"), more("elsewhere");
  more.suspect(step::kKnownHosts, "unreadable", "", {step::kHostKey});
  findings.append(std::move(more));
  findings.fail(step::kHostKey, "unknown");
  ASSERT_EQ(findings.steps().size(), 2u);
  EXPECT_EQ(findings.steps()[0].hop, "prod");
  EXPECT_EQ(findings.steps()[0].outcome, "failed");
}

// --- cures ---

TEST(DoctorAdvice, OfConnecting) {
  struct Case {
    Errc code;
    const char* message;
    const char* carrier;
    const char* cure;
  };
  const Case cases[] = {
      {Errc::kUnreachable, "cannot connect to 10.0.0.5:22: Connection refused", "",
       "nothing listens on port 22"},
      {Errc::kUnreachable, "the server could not connect (Connection refused)", "edge", "as seen from edge"},
      {Errc::kTimeout, "no answer from 10.0.0.5:22 within 30 s", "", "firewall"},
      {Errc::kTimeout, "10.0.0.5:22: no answer in time", "edge", "from edge"},
      {Errc::kUnreachable, "cannot connect to 10.0.0.5:22: Network is unreachable", "", "no network route"},
      {Errc::kUnreachable, "cannot connect to 10.0.0.5:22: No route to host", "", "VPN"},
      {Errc::kUnreachable, "cannot resolve x: Name or service not known", "", "check the spelling"},
      {Errc::kUnreachable, "the server could not connect (Name or service not known)", "edge",
       "edge looks the name"},
      {Errc::kUnreachable, "the server could not connect (something else)", "edge", "nc -v 10.0.0.5 22"},
  };
  for (const Case& each : cases) {
    EXPECT_THAT(connect_advice(Error{each.code, each.message, {}}, a_spec(), each.carrier),
                HasSubstr(each.cure))
        << each.message;
  }
}

TEST(DoctorAdvice, OfServersThatAreNoSshServers) {
  const auto advice = [](const char* said) {
    return banner_advice(
        Error{Errc::kProtocol, "not an SSH server (it said: \"" + std::string(said) + "\")", {}}, a_spec());
  };
  EXPECT_THAT(advice("HTTP/1.1 400 Bad Request"),
              HasSubstr("that is an HTTP server; no SSH server is on port 22"));
  EXPECT_THAT(advice("220 mail.example ESMTP"), HasSubstr("mail or FTP"));
  EXPECT_THAT(advice("RFB 003.008"), HasSubstr("VNC"));
  EXPECT_THAT(advice("what is this"),
              AllOf(HasSubstr("no SSH server is on port 22"), Not(HasSubstr("that is"))));
  EXPECT_THAT(banner_advice(Error{Errc::kUnsupported, "SSH-1.5", {}}, a_spec()), HasSubstr("SSH 1"));
  EXPECT_THAT(banner_advice(Error{Errc::kTimeout, "no SSH connection within 30 s", {}}, a_spec()),
              HasSubstr("says nothing"));
  EXPECT_THAT(banner_advice(Error{Errc::kClosed, "closed", {}}, a_spec()), HasSubstr("MaxStartups"));
}

TEST(DoctorAdvice, OfOldServersNamesWhatCouldBeAllowed) {
  const auto advice = [](const std::string& kind, const std::string& theirs) {
    return kex_advice(Error{Errc::kUnsupported,
                            "no common " + kind + ": the server offers \"" + theirs + "\", we offer \"x,y\"",
                            {}},
                      a_spec());
  };
  EXPECT_THAT(advice("key exchange method", "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1"),
              HasSubstr("Host prod / KexAlgorithms +diffie-hellman-group14-sha1"));
  EXPECT_THAT(advice("host key algorithm", "ssh-rsa"), HasSubstr("HostKeyAlgorithms +ssh-rsa"));
  EXPECT_THAT(advice("cipher", "3des-cbc"), HasSubstr("Ciphers +3des-cbc"));
  EXPECT_THAT(advice("MAC", "hmac-md5,hmac-sha1"), HasSubstr("MACs +hmac-sha1"));
  EXPECT_THAT(advice("cipher", "aes9000"), AllOf(HasSubstr("none of what we have"), HasSubstr("Ciphers")));
}

TEST(DoctorAdvice, OfAlgorithmsThatTheUserChoseBlamesTheChoiceFirst) {
  HopSpec spec = a_spec();
  spec.ciphers = "aes9000";
  const Error error{
      Errc::kUnsupported, "no common cipher: the server offers \"3des-cbc\", we offer \"x\"", {}};
  EXPECT_THAT(kex_advice(error, spec), HasSubstr("ssh_config has Ciphers aes9000 for prod"));
  EXPECT_THAT(kex_advice(error, spec), Not(HasSubstr("old server")));
}

TEST(DoctorAdvice, OfOurOwnEndNamesTheOptionThatChoseIt) {
  HopSpec spec = a_spec();
  spec.bind_address = "10.9.9.9";
  spec.address_family = AddressFamily::kIpv4;
  const Error error{Errc::kUnreachable, "prod has no address that AddressFamily, BindAddress allow", {}};
  EXPECT_THAT(connect_advice(error, spec, ""),
              HasSubstr("ssh_config has BindAddress 10.9.9.9 and AddressFamily inet for prod"));
}

TEST(DoctorAdvice, OfACertificateNamesItAndNoSshCopyId) {
  LoginReport login;
  login.methods = {"publickey"};
  login.tries = {{"publickey", "id SHA256:x", "/k", LoginTry::Outcome::kRefused, ""}};
  login.certificate_problem = "~/c-cert.pub: expired 2024-05-01 12:00 UTC";
  const std::string advice = login_advice(login, Error{Errc::kAuth, "authentication failed", {}}, a_spec());
  EXPECT_THAT(advice, AllOf(HasSubstr("~/c-cert.pub: expired"), HasSubstr("get a new certificate"),
                            Not(HasSubstr("ssh-copy-id"))));
}

TEST(DoctorAdvice, OfRefusedKeysNamesTheUserAndTheCommandThatPutsTheKeyThere) {
  LoginReport login;
  login.methods = {"publickey"};
  login.tries = {{"publickey", "id SHA256:x", "/home/me/my key", LoginTry::Outcome::kRefused, ""}};
  const std::string advice = login_advice(login, Error{Errc::kAuth, "authentication failed", {}}, a_spec());
  EXPECT_THAT(advice, HasSubstr("is 'deploy' the right user"));
  EXPECT_THAT(advice, HasSubstr("ssh-copy-id -i '/home/me/my key.pub' -F cfg -o ProxyJump=edge prod"));
}

TEST(DoctorAdvice, OfALoginThatWasCutOff) {
  LoginReport login;
  login.methods = {"publickey"};
  login.tries = {{"publickey", "id SHA256:x", "", LoginTry::Outcome::kCutOff, ""}};
  EXPECT_THAT(login_advice(login, Error{Errc::kAuth, "closed", {}}, a_spec()), HasSubstr("AllowUsers"));
  login.keys_left = 2;
  EXPECT_THAT(login_advice(login, Error{Errc::kAuth, "closed", {}}, a_spec()),
              HasSubstr("IdentitiesOnly yes"));
  login.missed = {"the password of deploy@prod"};
  EXPECT_THAT(login_advice(login, Error{Errc::kNeedsPerson, "nobody", {}}, a_spec()),
              HasSubstr("on a terminal"));
  EXPECT_EQ(login_advice(login, Error{Errc::kCancelled, "declined", {}}, a_spec()), "");
}

// Keys that were not offered yet, and one that was refused, say nothing about a login that did not end.
TEST(DoctorAdvice, OfALoginThatTookTooLongBlamesNeitherTheKeysNorTheServer) {
  LoginReport login;
  login.methods = {"publickey"};
  login.tries = {{"publickey", "~/.ssh/id_rsa", "/k", LoginTry::Outcome::kRefused, ""}};
  login.keys_left = 2;
  const std::string advice =
      login_advice(login, Error{Errc::kTimeout, "not finished within 5 s", {}}, a_spec());
  EXPECT_THAT(advice, HasSubstr("took too long"));
  EXPECT_THAT(advice, Not(HasSubstr("MaxAuthTries")));
  EXPECT_THAT(advice, Not(HasSubstr("ssh-copy-id")));
}

TEST(DoctorAdvice, ForwardingIsForbiddenByTheServersOwnWords) {
  EXPECT_TRUE(forbids_forwarding(Error{Errc::kRefused, "svc:80: the server forbids it (open failed)", {}}));
  EXPECT_TRUE(forbids_forwarding(
      Error{Errc::kRefused, "svc:80: the server does not know this kind of channel (no)", {}}));
  EXPECT_FALSE(forbids_forwarding(Error{Errc::kRefused, "svc:80: the server is out of resources", {}}));
  EXPECT_FALSE(forbids_forwarding(Error{Errc::kUnreachable, "svc:80: the server could not connect", {}}));
}

// --- the way ---

class DoctorWay : public testing::Test {
 protected:
  // Of the failed step: "STEP: DETAIL".
  std::string failed(const Error& error, const std::string& carrier = {}) {
    Findings findings("prod");
    explain_way(spec_, report_, &error, carrier, findings);
    std::string out;
    for (const proto::DiagnosisStep& each : findings.steps()) {
      if (each.outcome == "failed") out += each.step + ": " + each.detail + "|";
    }
    return out;
  }
  HopSpec spec_ = a_spec();
  HopReport report_;
};

TEST_F(DoctorWay, EndsWhereTheHopDid) {
  const Error error{Errc::kClosed, "prod (deploy@10.0.0.5:22): it broke", {}};
  EXPECT_EQ(failed(error), "connect: 10.0.0.5:22: it broke|");
  report_.peer = "10.0.0.5:22";
  EXPECT_EQ(failed(error), "banner: it broke|");
  report_.server_version = "SSH-1.5-old";
  EXPECT_EQ(failed(error), "banner: it broke|");
  report_.server_version = "SSH-2.0-new";
  EXPECT_EQ(failed(error), "kex: it broke|");
  report_.host_key = HostKey{"ssh-ed25519", {}};
  EXPECT_EQ(failed(error), "host_key: it broke|");
  report_.login = LoginReport{};
  EXPECT_EQ(failed(error), "login: it broke|");
}

TEST_F(DoctorWay, AProxyCommandWithoutAServerIsTheCommandsFailure) {
  spec_.proxy_command = "nc %h %p";
  report_.peer = "ProxyCommand 'nc %h %p'";
  EXPECT_EQ(failed(Error{Errc::kUnreachable, "it exited", {}}), "proxy_command: it exited|");
  EXPECT_EQ(failed(Error{Errc::kProtocol, "not an SSH server", {}}), "banner: not an SSH server|");
}

TEST_F(DoctorWay, MethodsThatWereNotTriedSayWhy) {
  report_.peer = "p";
  report_.server_version = "SSH-2.0-x";
  report_.host_key = HostKey{"ssh-ed25519", {}};
  report_.login = LoginReport{};
  report_.login->methods = {"publickey", "password", "keyboard-interactive", "gssapi-with-mic"};
  spec_.password_authentication = false;
  spec_.preferred_authentications = {"publickey", "password"};
  Findings findings("prod");
  const Error error{Errc::kAuth, "authentication failed", {}};
  explain_way(spec_, report_, &error, {}, findings);
  std::string skipped;
  for (const proto::DiagnosisStep& each : findings.steps()) {
    if (each.outcome == "skipped") skipped += each.step + ": " + each.detail + "|";
  }
  EXPECT_EQ(skipped,
            "publickey: there is no key to offer|password: switched off in ssh_config|"
            "keyboard-interactive: left out by PreferredAuthentications|"
            "gssapi-with-mic: jumpagent does not have this method|");
}

// --- configuration files ---

constexpr const char* kDebug =
    "OpenSSH_9.2p1\n"
    "debug1: Reading configuration data /home/me/.ssh/config\r\n"
    "debug1: /home/me/.ssh/config line 2: Applying options for prod\n"
    "debug2: checking match for 'host prod' host prod originally prod\n"
    "debug3: /home/me/.ssh/config line 5: matched 'host \"prod\"' \n"
    "debug2: match found\n"
    "debug2: checking match for 'exec false' host prod originally prod\n"
    "debug3: /home/me/.ssh/config line 7: not matched 'exec \"false\"' \n"
    "debug2: match not found\n"
    "debug3: /home/me/.ssh/config line 9: Including file /home/me/never depth 0 (parse only)\n"
    "debug1: Reading configuration data /home/me/never\n"
    "debug3: /home/me/.ssh/config line 12: Including file /home/me/a dir/more line 1 depth 0\n"
    "debug1: Reading configuration data /home/me/a dir/more line 1\n"
    "debug1: /home/me/a dir/more line 1 line 3: Applying options for *\n";

TEST(DoctorConfigSources, TellsWhichBlocksApply) {
  const AppliedBlocks applied = AppliedBlocks::parse(kDebug);
  EXPECT_EQ(applied.files, (std::vector<std::string>{"/home/me/.ssh/config", "/home/me/a dir/more line 1"}));
  EXPECT_EQ(applied.blocks.at("/home/me/.ssh/config"), (std::set<int>{2, 5}));
  EXPECT_EQ(applied.blocks.at("/home/me/a dir/more line 1"), std::set<int>{3});
}

TEST(DoctorConfigSources, FindsTheFirstLineInForce) {
  AppliedBlocks applied;
  applied.files = {"f"};
  applied.blocks["f"] = {3};
  const auto find = [&applied](std::string text, std::string_view option) -> std::string {
    const auto line =
        find_option(applied, option, [text](const std::string&) { return std::optional(text); });
    return line ? line->place() + " " + line->value : "";
  };
  const std::string text =
      "Host other\n  ProxyJump wrong\nHost prod\n  # ProxyJump no\n\tproxyjump=\"right, one\"\n  ProxyJump "
      "late\n";
  EXPECT_EQ(find(text, "proxyjump"), "f:5 right, one");
  EXPECT_EQ(find(text, "proxycommand"), "");
  EXPECT_EQ(find("ProxyCommand nc %h %p\r\nHost other\n", "proxycommand"), "f:1 nc %h %p");
  EXPECT_EQ(find("\n\nHost prod\nProxyJump none\nProxyJump late\n", "proxyjump"), "");
  EXPECT_EQ(find("Host other\nProxyJump x\n", "proxyjump"), "");
  EXPECT_EQ(find("Match other\n\nMatch all\nProxyJump x", "proxyjump"), "f:4 x");
  EXPECT_EQ(find("", "proxyjump"), "");
}

TEST(DoctorConfigSources, AFileThatCannotBeReadIsLeftOut) {
  AppliedBlocks applied;
  applied.files = {"gone", "there"};
  const auto line =
      find_option(applied, "proxyjump", [](const std::string& file) -> std::optional<std::string> {
        if (file == "gone") return std::nullopt;
        return "ProxyJump b\n";
      });
  ASSERT_TRUE(line);
  EXPECT_EQ(line->place(), "there:1");
}

// --- the protocol ---

TEST(DoctorProtocol, AReportSurvivesItsJson) {
  proto::DiagnosisReport report;
  report.healthy = true;
  report.host = "prod";
  report.hops = {{"prod", "me@10.0.0.5:22"}};
  report.steps = {{"prod", "dns", "ok", "10.0.0.5", "none"}};
  const proto::Json json = proto::encode(report);
  EXPECT_EQ(json.dump(),
            R"({"healthy":true,"hops":[{"address":"me@10.0.0.5:22","hop":"prod"}],"host":"prod",)"
            R"("steps":[{"advice":"none","detail":"10.0.0.5","hop":"prod","outcome":"ok","step":"dns"}]})");
  const auto back = proto::decode_result<proto::DiagnosisReport>(json);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(proto::encode(*back).dump(), json.dump());
}

// --- printing ---

TEST(DoctorText, IsAlignedAndNamesEachHopOnce) {
  proto::DiagnosisReport report;
  report.hops = {{"edge", "me@1.2.3.4:22"}, {"prod", "me@10.0.0.5:22"}};
  report.steps = {{"edge", "config", "ok", "me@1.2.3.4:22", ""},
                  {"edge", "known_hosts", "note", "unreadable", "chmod u+r f"},
                  {"prod", "login", "failed", "no", "ssh-copy-id prod"},
                  {"prod", "forwarding", "skipped", "not tried", ""},
                  {"prod", "later", "odd", "of a newer agent", ""}};
  EXPECT_EQ(ctl::render_steps(report, {}),
            "edge (me@1.2.3.4:22)\n"
            "  ok    config       me@1.2.3.4:22\n"
            "  note  known_hosts  unreadable\n"
            "                     -> chmod u+r f\n"
            "prod (me@10.0.0.5:22)\n"
            "  FAIL  login        no\n"
            "                     -> ssh-copy-id prod\n"
            "  -     forwarding   not tried\n"
            "  odd   later        of a newer agent\n");
  EXPECT_EQ(ctl::render_verdict(report, {}), "failed: prod: login\n");
  report.healthy = true;
  EXPECT_EQ(ctl::render_verdict(report, {}), "all is well\n");
}

TEST(DoctorText, IsSafeForATerminal) {
  proto::DiagnosisReport report;
  report.steps = {{"h\x1b[2Jop", "lo\ngin", "fa\x07iled", "de\x1b]0;x\x07tail", "ad\nvice"}};
  const std::string text = ctl::render_steps(report, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
}

}  // namespace
}  // namespace jump
