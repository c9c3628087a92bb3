#include "proto/spec.h"

#include <gtest/gtest.h>

#include "support/process.h"

namespace jump::proto {
namespace {

std::optional<std::uint16_t> services(const std::string& name) {
  if (name == "http") return 80;
  return std::nullopt;
}

Result<ForwardSpec> parse(std::string_view text, ForwardKind kind = ForwardKind::kLocal) {
  auto specs = parse_forward_specs(kind, text, services);
  if (!specs.ok()) return specs.error();
  EXPECT_EQ(specs->size(), 1u) << text;
  return specs->front();
}

ForwardEnd tcp(std::string host, std::uint16_t port) { return ForwardEnd{std::move(host), port, {}}; }
ForwardEnd unix_path(std::string path) { return ForwardEnd{{}, 0, std::move(path)}; }

struct Good {
  const char* text;
  ForwardEnd listen;
  ForwardEnd target;
  const char* canonical;
  bool as_ssh = true;  // OpenSSH 9.2 takes it for the same
};

const Good kGood[] = {
    {"8080:svc:80", tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {" \t8080:svc:80", tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {"8080:svc:80 \n", tcp("", 8080), tcp("svc", 80), "8080:svc:80", false},
    {"0:svc:80", tcp("", 0), tcp("svc", 80), "0:svc:80", false},
    {"127.0.0.1:0:svc:80", tcp("127.0.0.1", 0), tcp("svc", 80), "127.0.0.1:0:svc:80", false},
    {"65535:svc:65535", tcp("", 65535), tcp("svc", 65535), "65535:svc:65535"},
    {"08080:svc:0080", tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {"http:svc:http", tcp("", 80), tcp("svc", 80), "80:svc:80"},
    {"localhost:8080:svc:80", tcp("localhost", 8080), tcp("svc", 80), "localhost:8080:svc:80"},
    {"10.0.0.1:8080:svc:80", tcp("10.0.0.1", 8080), tcp("svc", 80), "10.0.0.1:8080:svc:80"},
    {"*:8080:svc:80", tcp("*", 8080), tcp("svc", 80), "*:8080:svc:80"},
    {":8080:svc:80", tcp("*", 8080), tcp("svc", 80), "*:8080:svc:80"},
    {"[]:8080:svc:80", tcp("*", 8080), tcp("svc", 80), "*:8080:svc:80"},
    {"[::1]:8080:svc:80", tcp("::1", 8080), tcp("svc", 80), "[::1]:8080:svc:80"},
    {"8080:[fd00::5]:80", tcp("", 8080), tcp("fd00::5", 80), "8080:[fd00::5]:80"},
    {"[::]:8080:[fe80::1%eth0]:22", tcp("::", 8080), tcp("fe80::1%eth0", 22), "[::]:8080:[fe80::1%eth0]:22"},
    {"8080:[svc]:80", tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {"[8080]:svc:[80]", tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {"8080:\\s\\v\\c:80", tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {"8080:fd00\\:\\:5:80", tcp("", 8080), tcp("fd00::5", 80), "8080:[fd00::5]:80"},
    {"8080:/run/app.sock", tcp("", 8080), unix_path("/run/app.sock"), "8080:/run/app.sock"},
    {"*:8080:/run/app.sock", tcp("*", 8080), unix_path("/run/app.sock"), "*:8080:/run/app.sock"},
    {"/tmp/s.sock:svc:80", unix_path("/tmp/s.sock"), tcp("svc", 80), "/tmp/s.sock:svc:80"},
    {"/tmp/s.sock:[::1]:80", unix_path("/tmp/s.sock"), tcp("::1", 80), "/tmp/s.sock:[::1]:80"},
    {"/tmp/a:/tmp/b", unix_path("/tmp/a"), unix_path("/tmp/b"), "/tmp/a:/tmp/b"},
    {"./s.sock:svc:80", unix_path("./s.sock"), tcp("svc", 80), "./s.sock:svc:80"},
    {"[/tmp/a:b]:svc:80", unix_path("/tmp/a:b"), tcp("svc", 80), "[/tmp/a:b]:svc:80"},
    {"/tmp/a\\:b:svc:80", unix_path("/tmp/a:b"), tcp("svc", 80), "[/tmp/a:b]:svc:80"},
    {"/tmp/a\\:b]:svc:80", unix_path("/tmp/a:b]"), tcp("svc", 80), "/tmp/a\\:b]:svc:80"},
    {"/tmp/a b:svc:80", unix_path("/tmp/a b"), tcp("svc", 80), "/tmp/a b:svc:80"},
    {"/tmp/a\\\\b:svc:80", unix_path("/tmp/a\\b"), tcp("svc", 80), "[/tmp/a\\b]:svc:80"},
    {"\\[a/b:svc:80", unix_path("[a/b"), tcp("svc", 80), "[[a/b]:svc:80"},
};

struct Bad {
  const char* text;
  const char* message;  // without the leading "forward 'TEXT': "
  bool as_ssh = true;   // OpenSSH 9.2 refuses it, too
};

const Bad kBad[] = {
    {"8080", "the target is missing"},
    {"/tmp/a", "the target is missing"},
    {"8080:svc", "the target's host or port is missing"},
    {"/tmp/a:80", "the target's host or port is missing"},
    {":", "the target's host or port is missing"},
    {"8080::80", "the target's host is missing", false},
    {"8080:[]:80", "the target's host is missing", false},
    {"8080:svc:", "target port: a port is missing"},
    {"::", "listening port: a port is missing"},
    {"8080:svc:80:", "nothing follows the last ':'", false},
    {"8080:svc:0", "target port: the target's port is not in 1..65535"},
    {"8080:svc:65536", "target port: port 65536 is not in 0..65535"},
    {"65536:svc:80", "listening port: port 65536 is not in 0..65535"},
    {"99999999999999999999:svc:80", "listening port: port 99999999999999999999 is not in 0..65535"},
    {"-1:svc:80", "listening port: '-1' is neither a port number nor the name of a service"},
    {"+80:svc:80", "listening port: '+80' is neither a port number nor the name of a service", false},
    {"80x:svc:80", "listening port: '80x' is neither a port number nor the name of a service"},
    {"8080:svc: 80", "target port: ' 80' is neither a port number nor the name of a service", false},
    {"8080:svc:nosuchservice",
     "target port: 'nosuchservice' is neither a port number nor the name of a service"},
    {"svc:8080:80", "listening port: 'svc' is neither a port number nor the name of a service"},
    {"::8080:svc:80", "more than 4 fields between colons"},
    {"::1:8080:svc:80", "more than 4 fields between colons"},
    {"8080:fd00::5:80", "more than 4 fields between colons"},
    {"1:2:3:4:5", "more than 4 fields between colons"},
    {"[::1:8080:svc:80", "'[' without ']'"},
    {"[::1]8080:svc:80", "something other than ':' follows ']'"},
    {"8080:svc:80\\", "nothing follows the backslash"},
    {"8080:s vc:80", "the target's host 's vc' has a character that no host name has", false},
    {"a b:8080:svc:80", "the bind address 'a b' has a character that no host name has", false},
    {"8080/svc/80", "the target is missing"},
    {"/tmp/a:/tmp/b:80", "the path /tmp/b has a port behind it", false},
    {"/tmp/a:8080:/tmp/b", "target port: '/tmp/b' is neither a port number nor the name of a service"},
    {"/tmp/a:1:svc:80", "the path /tmp/a is followed by one field too many", false},
    {"1.2.3.4:/tmp/a:svc:80", "listening port: '/tmp/a' is neither a port number nor the name of a service"},
    {"8080:/tmp/a\tb", "a socket's path has a control character", false},
    {"8080:[ /tmp/a]", "a socket's path begins or ends with a space", false},
};

TEST(ForwardSpec, ParsesWhatSshTakes) {
  for (const Good& good : kGood) {
    Result<ForwardSpec> spec = parse(good.text);
    ASSERT_TRUE(spec.ok()) << good.text << ": " << spec.error().message;
    EXPECT_EQ(spec->listen, good.listen) << good.text;
    EXPECT_EQ(spec->target, good.target) << good.text;
    EXPECT_EQ(spec->to_string(), good.canonical) << good.text;
  }
}

TEST(ForwardSpec, ItsCanonicalTextParsesToTheSame) {
  for (const Good& good : kGood) {
    Result<ForwardSpec> again = parse(good.canonical);
    ASSERT_TRUE(again.ok()) << good.canonical << ": " << again.error().message;
    EXPECT_EQ(again->listen, good.listen) << good.canonical;
    EXPECT_EQ(again->target, good.target) << good.canonical;
    EXPECT_EQ(again->to_string(), good.canonical);
  }
}

TEST(ForwardSpec, SaysWhatIsWrong) {
  for (const Bad& bad : kBad) {
    Result<ForwardSpec> spec = parse(bad.text);
    ASSERT_FALSE(spec.ok()) << bad.text << " was taken for " << spec->to_string();
    EXPECT_EQ(spec.error().code, Errc::kInvalid);
    EXPECT_EQ(spec.error().message, "forward '" + std::string(bad.text) + "': " + bad.message);
    EXPECT_NE(spec.error().hint.find("[bind:]port:host:port"), std::string::npos) << spec.error().hint;
  }
}

TEST(ForwardSpec, RefusesEmptyText) {
  for (const char* text : {"", "   "}) {
    Result<ForwardSpec> spec = parse(text);
    ASSERT_FALSE(spec.ok());
    EXPECT_EQ(spec.error().message, "a forward is missing");
  }
}

TEST(ForwardSpec, BoundsHostsPathsAndItself) {
  EXPECT_TRUE(parse("8080:" + std::string(255, 'h') + ":80").ok());
  EXPECT_FALSE(parse("8080:" + std::string(256, 'h') + ":80").ok());
  EXPECT_TRUE(parse("/" + std::string(102, 'p') + ":svc:80").ok());
  EXPECT_FALSE(parse("/" + std::string(103, 'p') + ":svc:80").ok());
  Result<ForwardSpec> huge = parse("8080:svc:" + std::string(1 << 20, '0'));
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.error().message, "a forward has more than 1024 bytes");
}

TEST(ForwardSpec, RefusesNulBytes) {
  EXPECT_FALSE(parse(std::string_view("8080:s\0vc:80", 12)).ok());
  EXPECT_FALSE(parse(std::string_view("8080:/a\0b", 9)).ok());
  EXPECT_FALSE(parse(std::string_view("80\0:svc:80", 10)).ok());
}

// --- the other kinds ---

struct Other {
  ForwardKind asked;
  const char* text;
  ForwardKind kind;
  ForwardEnd listen;
  std::optional<ForwardEnd> target;
  const char* canonical;
  bool as_ssh = true;
};

constexpr ForwardKind kL = ForwardKind::kLocal;
constexpr ForwardKind kR = ForwardKind::kRemote;
constexpr ForwardKind kD = ForwardKind::kDynamic;
constexpr ForwardKind kRD = ForwardKind::kRemoteDynamic;

const Other kOthers[] = {
    {kR, "8080:svc:80", kR, tcp("", 8080), tcp("svc", 80), "8080:svc:80"},
    {kR, "0:svc:80", kR, tcp("", 0), tcp("svc", 80), "0:svc:80"},
    {kR, "localhost:8080:svc:http", kR, tcp("localhost", 8080), tcp("svc", 80), "localhost:8080:svc:80"},
    {kR, "*:8080:svc:80", kR, tcp("*", 8080), tcp("svc", 80), "*:8080:svc:80"},
    {kR, ":8080:svc:80", kR, tcp("*", 8080), tcp("svc", 80), "*:8080:svc:80"},
    {kR, "[::1]:8080:[fd00::5]:80", kR, tcp("::1", 8080), tcp("fd00::5", 80), "[::1]:8080:[fd00::5]:80"},
    {kR, "8080:/run/x", kR, tcp("", 8080), unix_path("/run/x"), "8080:/run/x"},
    {kR, "*:8080:/run/x", kR, tcp("*", 8080), unix_path("/run/x"), "*:8080:/run/x"},
    {kR, "/run/s:svc:80", kR, unix_path("/run/s"), tcp("svc", 80), "/run/s:svc:80"},
    {kR, "/run/s:/run/x", kR, unix_path("/run/s"), unix_path("/run/x"), "/run/s:/run/x"},
    {kR, "1080", kRD, tcp("", 1080), {}, "1080"},
    {kR, "0", kRD, tcp("", 0), {}, "0"},
    {kR, "bastion:1080", kRD, tcp("bastion", 1080), {}, "bastion:1080"},
    {kR, ":1080", kRD, tcp("*", 1080), {}, "*:1080"},
    {kR, "[::1]:1080", kRD, tcp("::1", 1080), {}, "[::1]:1080"},
    {kR, "/run/s", kRD, unix_path("/run/s"), {}, "/run/s"},
    {kD, "1080", kD, tcp("", 1080), {}, "1080"},
    {kD, " 01080", kD, tcp("", 1080), {}, "1080"},
    {kD, "http", kD, tcp("", 80), {}, "80"},
    {kD, "0", kD, tcp("", 0), {}, "0", false},
    {kD, "127.0.0.1:1080", kD, tcp("127.0.0.1", 1080), {}, "127.0.0.1:1080"},
    {kD, "*:1080", kD, tcp("*", 1080), {}, "*:1080"},
    {kD, ":1080", kD, tcp("*", 1080), {}, "*:1080"},
    {kD, "[]:1080", kD, tcp("*", 1080), {}, "*:1080"},
    {kD, "[::1]:1080", kD, tcp("::1", 1080), {}, "[::1]:1080"},
    {kD, "/tmp/s", kD, unix_path("/tmp/s"), {}, "/tmp/s"},
    {kD, "[/tmp/a:b]", kD, unix_path("/tmp/a:b"), {}, "[/tmp/a:b]"},
};

struct BadOther {
  ForwardKind asked;
  const char* text;
  const char* message;
  bool as_ssh = true;  // ssh refuses it, too
};

const BadOther kBadOthers[] = {
    {kR, "8080:svc", "listening port: 'svc' is neither a port number nor the name of a service"},
    {kR, "svc:8080:80", "listening port: 'svc' is neither a port number nor the name of a service"},
    {kR, "8080:svc:0", "target port: the target's port is not in 1..65535"},
    {kR, "8080::80", "the target's host is missing", false},
    {kR, "/run/s:80", "the target's host or port is missing", false},
    {kR, "::1:1080", "listening port: a port is missing"},
    {kR, "65536", "listening port: port 65536 is not in 0..65535"},
    {kR, "1080-1090", "a range of ports is not for a proxy: one port serves every target"},
    {kR, "8080:", "listening port: a port is missing", false},
    {kD, "1080:", "listening port: a port is missing", false},
    {kD, "svc", "listening port: 'svc' is neither a port number nor the name of a service"},
    {kD, "65536", "listening port: port 65536 is not in 0..65535"},
    {kD, "1080-1090", "a range of ports is not for a proxy: one port serves every target"},
    {kD, "8080:svc:80", "a dynamic forward has no target: its clients name theirs"},
    {kD, "8080:/run/x", "a dynamic forward has no target: its clients name theirs", false},
    {kD, "/tmp/a:80", "a dynamic forward has no target: its clients name theirs", false},
    {kD, "::1:1080", "a dynamic forward has no target: its clients name theirs"},
    {kD, "a b:1080", "the bind address 'a b' has a character that no host name has", false},
    {kD, "[::1", "'[' without ']'"},
};

TEST(ForwardSpec, ParsesRemoteAndDynamicForwards) {
  for (const Other& other : kOthers) {
    for (const char* text : {other.text, other.canonical}) {
      Result<ForwardSpec> spec = parse(text, other.asked);
      ASSERT_TRUE(spec.ok()) << text << ": " << spec.error().message;
      EXPECT_EQ(spec->kind, other.kind) << text;
      EXPECT_EQ(spec->listen, other.listen) << text;
      EXPECT_EQ(spec->target, other.target) << text;
      EXPECT_EQ(spec->to_string(), other.canonical) << text;
    }
  }
}

TEST(ForwardSpec, SaysWhatIsWrongWithRemoteAndDynamicForwards) {
  for (const BadOther& bad : kBadOthers) {
    auto specs = parse_forward_specs(bad.asked, bad.text, services);
    ASSERT_FALSE(specs.ok()) << bad.text << " was taken for " << specs->front().to_string();
    EXPECT_EQ(specs.error().code, Errc::kInvalid);
    EXPECT_EQ(specs.error().message, "forward '" + std::string(bad.text) + "': " + bad.message);
    EXPECT_TRUE(specs.error().hint.starts_with("write [bind:]port")) << specs.error().hint;
    EXPECT_EQ(specs.error().hint.find("host:port") == std::string::npos, bad.asked == kD)
        << specs.error().hint;
  }
}

TEST(ForwardSpec, ReadsTheTextOfARemoteDynamicForwardAsOne) {
  Result<ForwardSpec> spec = parse("*:1080", kRD);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->kind, kRD);
  EXPECT_FALSE(parse_forward_specs(kRD, "8080:svc:80", services).ok());
}

TEST(ForwardKind, HasAStableName) {
  const std::pair<ForwardKind, const char*> names[] = {
      {kL, "local"}, {kR, "remote"}, {kD, "dynamic"}, {kRD, "remote-dynamic"}};
  for (const auto& [kind, name] : names) {
    EXPECT_STREQ(forward_kind_name(kind), name);
    EXPECT_EQ(forward_kind_of(name), kind);
  }
  EXPECT_EQ(forward_kind_of("Local"), std::nullopt);
  EXPECT_EQ(forward_kind_of(""), std::nullopt);
}

// --- ranges of ports ---

TEST(ForwardSpec, ARangeIsAForwardForEachPort) {
  for (ForwardKind kind : {kL, kR}) {
    auto specs = parse_forward_specs(kind, "*:8000-8010:svc:9000-9010", services);
    ASSERT_TRUE(specs.ok()) << specs.error().message;
    ASSERT_EQ(specs->size(), 11u);
    for (std::size_t i = 0; i < specs->size(); ++i) {
      const auto n = static_cast<std::uint16_t>(i);
      const ForwardSpec expected{kind, tcp("*", static_cast<std::uint16_t>(8000 + n)),
                                 tcp("svc", static_cast<std::uint16_t>(9000 + n))};
      EXPECT_EQ((*specs)[i], expected);
    }
  }
}

TEST(ForwardSpec, RangesMayBeOfOnePortAndOfAsManyAsTheBound) {
  EXPECT_EQ(parse("8000-8000:svc:80")->to_string(), "8000:svc:80");
  EXPECT_EQ(parse_forward_specs(kL, "1-1000:svc:64536-65535", services)->back().to_string(),
            "1000:svc:65535");
}

TEST(ForwardSpec, SaysWhatIsWrongWithARange) {
  const Bad bad_ranges[] = {
      {"8000-8010:svc:9000", "11 and 1 ports do not go together: both ends need a range of the same length"},
      {"8000:svc:9000-9010", "1 and 11 ports do not go together: both ends need a range of the same length"},
      {"8000-8010:svc:9000-9009",
       "11 and 10 ports do not go together: both ends need a range of the same length"},
      {"8000-8010:/run/x", "11 and 1 ports do not go together: both ends need a range of the same length"},
      {"/run/x:svc:80-81", "1 and 2 ports do not go together: both ends need a range of the same length"},
      {"8010-8000:svc:80", "listening port: the range 8010-8000 ends before it begins"},
      {"0-10:svc:0-10", "listening port: the range 0-10 begins with port 0"},
      {"1-1001:svc:1-1001", "listening port: the range 1-1001 has more than 1000 ports"},
      {"1:svc:65535-65536", "target port: port 65535-65536 is not in 0..65535"},
      {"1-:svc:80", "listening port: '1-' is neither a port number nor the name of a service"},
      {"1-2-3:svc:80", "listening port: '1-2-3' is neither a port number nor the name of a service"},
  };
  for (const Bad& bad : bad_ranges) {
    auto specs = parse_forward_specs(kL, bad.text, services);
    ASSERT_FALSE(specs.ok()) << bad.text;
    EXPECT_EQ(specs.error().message, "forward '" + std::string(bad.text) + "': " + bad.message);
  }
}

TEST(ForwardSpec, TakesNamesWithADashForServices) {
  const ServicePort dashed = [](const std::string& name) -> std::optional<std::uint16_t> {
    if (name == "ftp-data") return 20;
    if (name == "3com-8000") return 106;
    return std::nullopt;
  };
  EXPECT_EQ(parse_forward_specs(kL, "8020:svc:ftp-data", dashed)->front().to_string(), "8020:svc:20");
  EXPECT_EQ(parse_forward_specs(kD, "3com-8000", dashed)->front().to_string(), "106");
}

// --- the same specs, given to ssh itself ---

// The forward as `ssh -G` prints it, empty when it refuses the spec, nothing when there is no ssh.
std::optional<std::string> ssh_forward(const std::string& spec, ForwardKind kind = kL) {
  const bool remote = kind == kR;
  const char* option = remote ? "-R" : kind == kD ? "-D" : "-L";
  const auto result = test::run_process({"ssh", "-F", "none", "-G", option, spec, "host"}, seconds(10));
  if (result.exit_status == 127) return std::nullopt;
  const std::string key = remote ? "remoteforward " : kind == kD ? "dynamicforward " : "localforward ";
  const std::size_t at = result.out.find(key);
  if (at == std::string::npos) return std::string();
  return result.out.substr(at + key.size(), result.out.find('\n', at) - at - key.size());
}

std::string as_ssh_prints(const ForwardEnd& end) {
  if (end.is_unix()) return end.path;
  return end.host.empty() ? std::to_string(end.port) : "[" + end.host + "]:" + std::to_string(end.port);
}

TEST(ForwardSpec, AgreesWithSsh) {
  if (!ssh_forward("1:h:1")) GTEST_SKIP() << "there is no ssh here";
  for (const Good& good : kGood) {
    std::string expected = as_ssh_prints(good.listen) + " " + as_ssh_prints(good.target);
    std::string printed = *ssh_forward(good.text);
    if (printed.starts_with("[]:")) printed.insert(1, "*");  // two spellings of every interface
    EXPECT_EQ(printed, good.as_ssh ? expected : "") << good.text;
  }
  for (const Bad& bad : kBad) EXPECT_EQ(ssh_forward(bad.text)->empty(), bad.as_ssh) << bad.text;
}

TEST(ForwardSpec, AgreesWithSshOnRemoteAndDynamicForwards) {
  if (!ssh_forward("1:h:1")) GTEST_SKIP() << "there is no ssh here";
  for (const Other& other : kOthers) {
    std::string expected = as_ssh_prints(other.listen);
    if (other.target) expected += " " + as_ssh_prints(*other.target);
    if (other.kind == kRD) expected += " [socks]:0";
    std::string printed = *ssh_forward(other.text, other.asked);
    if (printed.starts_with("[]:")) printed.insert(1, "*");  // two spellings of every interface
    EXPECT_EQ(printed, other.as_ssh ? expected : "") << other.text;
  }
  for (const BadOther& bad : kBadOthers) {
    EXPECT_EQ(ssh_forward(bad.text, bad.asked)->empty(), bad.as_ssh) << bad.text;
  }
}

TEST(ForwardEnd, IsShownAsOneWouldTypeIt) {
  EXPECT_EQ(tcp("svc", 80).to_string(), "svc:80");
  EXPECT_EQ(tcp("::1", 80).to_string(), "[::1]:80");
  EXPECT_EQ(tcp("", 80).to_string(), "80");
  EXPECT_EQ(unix_path("/a").to_string(), "/a");
}

}  // namespace
}  // namespace jump::proto
