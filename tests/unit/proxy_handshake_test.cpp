#include "forward/proxy_handshake.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jump {
namespace {

using namespace std::string_literals;
using State = ProxyHandshake::State;
using Protocol = ProxyHandshake::Protocol;

// Some have bytes that are 0: std::string literals, "…"s.
const std::string kNoAuth = "\x05\x01\x00"s;
const std::string kGranted5 = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;
const std::string kGranted4 = "\x00\x5a\x00\x00\x00\x00\x00\x00"s;
const std::string kRefused4 = "\x00\x5b\x00\x00\x00\x00\x00\x00"s;

std::string refused5(char code) { return "\x05"s + code + "\x00\x01\x00\x00\x00\x00\x00\x00"s; }
std::string taken(ProxyHandshake& handshake) { return std::string(as_text(handshake.take_output())); }

// SOCKS5, no authentication: a name's request.
std::string connect5(const std::string& name, const std::string& port = "\x01\xbb"s) {
  return kNoAuth + "\x05\x01\x00\x03"s + static_cast<char>(name.size()) + name + port;
}

struct Good {
  const char* what;
  std::string bytes;
  Protocol protocol;
  const char* host;
  std::uint16_t port;
  std::string answers;  // before success()
};

const std::vector<Good>& good_ones() {
  static const std::vector<Good> kGood = {
      {"4", "\x04\x01\x00\x50\x0a\x00\x00\x05\x00"s, Protocol::kSocks4, "10.0.0.5", 80, ""},
      {"4, user", "\x04\x01\xff\xff\x7f\x00\x00\x01root\x00"s, Protocol::kSocks4, "127.0.0.1", 65535, ""},
      {"4, 0.0.0.0", "\x04\x01\x00\x50\x00\x00\x00\x00\x00"s, Protocol::kSocks4, "0.0.0.0", 80, ""},
      {"4a", "\x04\x01\x00\x50\x00\x00\x00\x01\x00svc\x00"s, Protocol::kSocks4a, "svc", 80, ""},
      {"4a, user", "\x04\x01\x00\x50\x00\x00\x00\xffme\x00svc.lan\x00"s, Protocol::kSocks4a, "svc.lan", 80,
       ""},
      {"4a, longest",
       "\x04\x01\x00\x50\x00\x00\x00\x01"s + std::string(255, 'u') + "\x00"s + std::string(255, 'h') +
           "\x00"s,
       Protocol::kSocks4a, nullptr, 80, ""},
      {"5, name", connect5("svc"), Protocol::kSocks5, "svc", 443, "\x05\x00"s},
      {"5, longest name", connect5(std::string(255, 'h')), Protocol::kSocks5, nullptr, 443, "\x05\x00"s},
      {"5, v6 address as a name", connect5("fd00::5"), Protocol::kSocks5, "fd00::5", 443, "\x05\x00"s},
      {"5, v4", kNoAuth + "\x05\x01\x00\x01\x0a\x00\x00\x05\x00\x50"s, Protocol::kSocks5, "10.0.0.5", 80,
       "\x05\x00"s},
      {"5, v6",
       kNoAuth + "\x05\x01\x00\x04\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x50"s,
       Protocol::kSocks5, "fd00::5", 80, "\x05\x00"s},
      {"5, no login where there is a choice", "\x05\x03\x02\x01\x00\x05\x01\x00\x03\x01s\x00\x50"s,
       Protocol::kSocks5, "s", 80, "\x05\x00"s},
      {"5, login only", "\x05\x01\x02\x01\x02me\x06secret\x05\x01\x00\x03\x01s\x00\x50"s, Protocol::kSocks5,
       "s", 80, "\x05\x02\x01\x00"s},
      {"5, empty login", "\x05\x01\x02\x01\x00\x00\x05\x01\x00\x03\x01s\x00\x50"s, Protocol::kSocks5, "s", 80,
       "\x05\x02\x01\x00"s},
      {"CONNECT", "CONNECT svc:443 HTTP/1.1\r\nHost: svc:443\r\nProxy-Authorization: Basic x\r\n\r\n",
       Protocol::kHttp, "svc", 443, ""},
      {"CONNECT, bare", "CONNECT 10.0.0.5:80 HTTP/1.0\r\n\r\n", Protocol::kHttp, "10.0.0.5", 80, ""},
      {"CONNECT, v6", "CONNECT [fd00::5]:80 HTTP/1.1\r\n\r\n", Protocol::kHttp, "fd00::5", 80, ""},
      {"CONNECT, LF only", "CONNECT svc:1 HTTP/1.1\nA: b\n\n", Protocol::kHttp, "svc", 1, ""},
      {"CONNECT, most of headers",
       "CONNECT svc:80 HTTP/1.1\r\n" + std::string(ProxyHandshake::kMaxHttpHead - 4, 'x') + "\r\n\r\n",
       Protocol::kHttp, "svc", 80, ""},
  };
  return kGood;
}

void expect_requested(ProxyHandshake& handshake, const Good& good) {
  ASSERT_EQ(handshake.state(), State::kRequested) << good.what;
  EXPECT_EQ(handshake.protocol(), good.protocol) << good.what;
  EXPECT_EQ(handshake.target().host, good.host ? good.host : std::string(255, 'h')) << good.what;
  EXPECT_EQ(handshake.target().port, good.port) << good.what;
  EXPECT_FALSE(handshake.target().is_unix()) << good.what;
  EXPECT_EQ(taken(handshake), good.answers) << good.what;
  EXPECT_EQ(taken(handshake), "") << good.what;
}

TEST(ProxyHandshake, TellsTheProtocolsApartAndHearsTheTarget) {
  for (const Good& good : good_ones()) {
    ProxyHandshake handshake;
    EXPECT_EQ(handshake.protocol(), Protocol::kUnknown);
    EXPECT_EQ(handshake.feed(as_bytes(good.bytes)), good.bytes.size()) << good.what;
    expect_requested(handshake, good);
  }
}

TEST(ProxyHandshake, MayBeSplitAtAnyByte) {
  for (const Good& good : good_ones()) {
    if (good.bytes.size() > 1000) continue;
    for (std::size_t cut = 0; cut <= good.bytes.size(); ++cut) {
      ProxyHandshake handshake;
      const ByteView all = as_bytes(good.bytes);
      EXPECT_EQ(handshake.feed(all.first(cut)), cut);
      EXPECT_EQ(handshake.state() == State::kReading, cut < all.size()) << good.what << ", cut at " << cut;
      EXPECT_EQ(handshake.feed(all.subspan(cut)), all.size() - cut);
      expect_requested(handshake, good);
    }
  }
}

TEST(ProxyHandshake, MayComeByteByByte) {
  for (const Good& good : good_ones()) {
    ProxyHandshake handshake;
    for (const std::uint8_t& byte : as_bytes(good.bytes)) {
      ASSERT_EQ(handshake.state(), State::kReading) << good.what;
      EXPECT_EQ(handshake.feed({&byte, 1}), 1u);
    }
    expect_requested(handshake, good);
  }
}

TEST(ProxyHandshake, LeavesWhatFollowsToTheCaller) {
  for (const Good& good : good_ones()) {
    for (const std::string& behind : {"\x16\x03\x01"s, "\r\n\r\n"s, "\x00"s, "\x05\x01\x00"s}) {
      ProxyHandshake handshake;
      const std::string bytes = good.bytes + behind;
      EXPECT_EQ(handshake.feed(as_bytes(bytes)), good.bytes.size()) << good.what;
      expect_requested(handshake, good);
      EXPECT_EQ(handshake.feed(as_bytes(behind)), 0u) << good.what;
    }
  }
}

TEST(ProxyHandshake, AnswersSocks5BeforeItsRequest) {
  ProxyHandshake handshake;
  handshake.feed(as_bytes("\x05\x01\x02"s));
  EXPECT_EQ(taken(handshake), "\x05\x02"s);
  handshake.feed(as_bytes("\x01\x01u\x01p"s));
  EXPECT_EQ(taken(handshake), "\x01\x00"s);
  EXPECT_EQ(handshake.state(), State::kReading);
}

struct Bad {
  const char* what;
  std::string bytes;
  Errc code;
  const char* message;  // part of it
  std::string answer;   // all of it; of HTTP, how it begins
};

const std::vector<Bad>& bad_ones() {
  constexpr const char* kOdd = "a character that no host name has";
  static const std::vector<Bad> kBad = {
      {"TLS", "\x16", Errc::kProtocol, "speaks TLS to the proxy", ""},
      {"NUL", "\x00"s, Errc::kProtocol, "neither SOCKS nor HTTP: it began with 0x00", ""},
      {"line break", "\r", Errc::kProtocol, "neither SOCKS nor HTTP", ""},
      {"SOCKS6", "\x06", Errc::kProtocol, "neither SOCKS nor HTTP", ""},
      {"high byte", "\xc3", Errc::kProtocol, "neither SOCKS nor HTTP", ""},

      {"4, BIND", "\x04\x02\x00\x50\x0a\x00\x00\x05\x00"s, Errc::kUnsupported, "asked for BIND", kRefused4},
      {"4, odd command", "\x04\x09\x00\x50\x0a\x00\x00\x05\x00"s, Errc::kUnsupported, "command 0x09",
       kRefused4},
      {"4, port 0", "\x04\x01\x00\x00\x0a\x00\x00\x05\x00"s, Errc::kInvalid, "port 0 of 10.0.0.5", kRefused4},
      {"4, user id", "\x04\x01\x00\x50\x0a\x00\x00\x05"s + std::string(256, 'u'), Errc::kLimit, "user id",
       kRefused4},
      {"4a, BIND", "\x04\x02\x00\x50\x00\x00\x00\x01\x00s\x00"s, Errc::kUnsupported, "asked for BIND",
       kRefused4},
      {"4a, no name", "\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00"s, Errc::kInvalid, "named no host",
       kRefused4},
      {"4a, long name", "\x04\x01\x00\x50\x00\x00\x00\x01\x00"s + std::string(256, 'h'), Errc::kInvalid,
       "more than 255 bytes", kRefused4},
      {"4a, odd name", "\x04\x01\x00\x50\x00\x00\x00\x01\x00s\nvc\x00"s, Errc::kInvalid, kOdd, kRefused4},

      {"5, no method", "\x05\x00"s, Errc::kUnsupported, "authentication methods", "\x05\xff"s},
      {"5, GSSAPI only", "\x05\x01\x01"s, Errc::kUnsupported, "authentication methods", "\x05\xff"s},
      {"5, login's version", "\x05\x01\x02\x05\x01"s, Errc::kProtocol, "login has version 5",
       "\x05\x02\x01\x01"s},
      {"5, request's version", kNoAuth + "\x04\x01\x00\x03"s, Errc::kProtocol, "request has version 4",
       "\x05\x00"s + refused5(1)},
      {"5, BIND", kNoAuth + "\x05\x02\x00\x01\x0a\x00\x00\x05\x00\x50"s, Errc::kUnsupported, "asked for BIND",
       "\x05\x00"s + refused5(7)},
      {"5, UDP", kNoAuth + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"s, Errc::kUnsupported, "UDP ASSOCIATE",
       "\x05\x00"s + refused5(7)},
      {"5, odd command", kNoAuth + "\x05\xf0\x00\x03\x01s\x00\x50"s, Errc::kUnsupported, "command 0xf0",
       "\x05\x00"s + refused5(7)},
      {"5, address type", kNoAuth + "\x05\x01\x00\x02"s, Errc::kUnsupported, "address type 0x02",
       "\x05\x00"s + refused5(8)},
      {"5, empty name", connect5(""), Errc::kInvalid, "named no host", "\x05\x00"s + refused5(1)},
      {"5, port 0", connect5("svc", "\x00\x00"s), Errc::kInvalid, "port 0 of svc", "\x05\x00"s + refused5(1)},
      {"5, NUL in the name", connect5("s\0vc"s), Errc::kInvalid, kOdd, "\x05\x00"s + refused5(1)},
      {"5, space", connect5("s vc"), Errc::kInvalid, kOdd, "\x05\x00"s + refused5(1)},
      {"5, DEL", connect5("s\x7f"s), Errc::kInvalid, kOdd, "\x05\x00"s + refused5(1)},
      {"5, not ASCII", connect5("s\xc3\xbc"s), Errc::kInvalid, kOdd, "\x05\x00"s + refused5(1)},
      {"5, a path", connect5("/run/s"), Errc::kInvalid, kOdd, "\x05\x00"s + refused5(1)},

      {"HTTP, no request", "SSH-2.0-OpenSSH_9.2\r\n", Errc::kProtocol, "neither SOCKS nor HTTP: 'SSH-2.0",
       "HTTP/1.1 400 Bad Request\r\n"},
      {"HTTP, empty parts", "CONNECT  HTTP/1.1\r\n", Errc::kProtocol, "neither SOCKS nor HTTP",
       "HTTP/1.1 400 "},
      {"HTTP, odd method", "CON(NECT svc:80 HTTP/1.1\r\n", Errc::kProtocol, "neither SOCKS nor HTTP",
       "HTTP/1.1 400 "},
      {"HTTP, space in the target", "CONNECT s vc:80 HTTP/1.1\r\n", Errc::kProtocol, "neither SOCKS nor HTTP",
       "HTTP/1.1 400 "},
      {"HTTP, NUL in the target", "CONNECT s\0vc:80 HTTP/1.1\r\n"s, Errc::kProtocol, "neither SOCKS nor HTTP",
       "HTTP/1.1 400 "},
      {"GET", "GET http://svc/ HTTP/1.1\r\nHost: svc\r\n\r\n", Errc::kUnsupported, "asked for GET",
       "HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT\r\n"},
      {"methods have a case", "connect svc:80 HTTP/1.1\r\n\r\n", Errc::kUnsupported, "asked for connect",
       "HTTP/1.1 405 "},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", Errc::kUnsupported, "asked for PRI", "HTTP/1.1 405 "},
      {"HTTP/2", "CONNECT svc:80 HTTP/2.0\r\n\r\n", Errc::kUnsupported, "HTTP/2.0", "HTTP/1.1 505 "},
      {"HTTP, no port", "CONNECT svc HTTP/1.1\r\n\r\n", Errc::kInvalid, "names no port: 'svc'",
       "HTTP/1.1 400 "},
      {"HTTP, v6 without port", "CONNECT [::1] HTTP/1.1\r\n\r\n", Errc::kInvalid, "names no port",
       "HTTP/1.1 400 "},
      {"HTTP, empty port", "CONNECT svc: HTTP/1.1\r\n\r\n", Errc::kInvalid, "not in 1..65535",
       "HTTP/1.1 400 "},
      {"HTTP, port 0", "CONNECT svc:0 HTTP/1.1\r\n\r\n", Errc::kInvalid, "port 0 of svc", "HTTP/1.1 400 "},
      {"HTTP, big port", "CONNECT svc:65536 HTTP/1.1\r\n\r\n", Errc::kInvalid, "not in 1..65535",
       "HTTP/1.1 400 "},
      {"HTTP, signed port", "CONNECT svc:+80 HTTP/1.1\r\n\r\n", Errc::kInvalid, "not in 1..65535",
       "HTTP/1.1 400 "},
      {"HTTP, port's tail", "CONNECT svc:80x HTTP/1.1\r\n\r\n", Errc::kInvalid, "not in 1..65535",
       "HTTP/1.1 400 "},
      {"HTTP, no host", "CONNECT :80 HTTP/1.1\r\n\r\n", Errc::kInvalid, "named no host", "HTTP/1.1 400 "},
      {"HTTP, v6 without brackets", "CONNECT ::1:80 HTTP/1.1\r\n\r\n", Errc::kInvalid, "without brackets",
       "HTTP/1.1 400 "},
      {"HTTP, a name in brackets", "CONNECT [svc]:80 HTTP/1.1\r\n\r\n", Errc::kInvalid, "no IPv6 address",
       "HTTP/1.1 400 "},
      {"HTTP, a user", "CONNECT me@svc:80 HTTP/1.1\r\n\r\n", Errc::kInvalid, kOdd, "HTTP/1.1 400 "},
      {"HTTP, a URL", "CONNECT http://svc:80 HTTP/1.1\r\n\r\n", Errc::kInvalid, "without brackets",
       "HTTP/1.1 400 "},
      {"HTTP, long host", "CONNECT " + std::string(256, 'h') + ":80 HTTP/1.1\r\n\r\n", Errc::kInvalid,
       "more than 255 bytes", "HTTP/1.1 400 "},
      {"HTTP, long line", std::string(ProxyHandshake::kMaxRequestLine + 1, 'A'), Errc::kLimit, "request line",
       "HTTP/1.1 414 "},
      {"HTTP, many headers",
       "CONNECT svc:80 HTTP/1.1\r\n" + std::string(ProxyHandshake::kMaxHttpHead + 1, 'A'), Errc::kLimit,
       "headers", "HTTP/1.1 431 "},
  };
  return kBad;
}

bool is_http(const Bad& bad) { return bad.answer.starts_with("HTTP/"); }

// An HTTP answer that a client can read: a head, and one printable line as long as the head says.
void expect_http_answer(const std::string& answer, const std::string& what) {
  const std::size_t end = answer.find("\r\n\r\n");
  ASSERT_NE(end, std::string::npos) << what;
  const std::string head = answer.substr(0, end + 2);
  const std::string body = answer.substr(end + 4);
  EXPECT_NE(head.find("\r\nContent-Type: text/plain; charset=us-ascii\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n"), std::string::npos)
      << head;
  EXPECT_NE(head.find("\r\nConnection: close\r\n"), std::string::npos) << head;
  EXPECT_TRUE(body.starts_with("jumpagent: ")) << body;
  EXPECT_EQ(body.find_first_of("\r\n"), body.size() - 1) << what << ": " << body;
}

TEST(ProxyHandshake, RefusesInTheClientsProtocolWhatIsNotServed) {
  for (const Bad& bad : bad_ones()) {
    ProxyHandshake handshake;
    EXPECT_EQ(handshake.feed(as_bytes(bad.bytes)), bad.bytes.size()) << bad.what;
    ASSERT_EQ(handshake.state(), State::kFailed) << bad.what;
    EXPECT_EQ(handshake.error().code, bad.code) << bad.what << ": " << handshake.error().message;
    EXPECT_NE(handshake.error().message.find(bad.message), std::string::npos)
        << bad.what << ": " << handshake.error().message;
    const std::string answer = taken(handshake);
    if (is_http(bad)) {
      EXPECT_TRUE(answer.starts_with(bad.answer)) << bad.what << ": " << answer;
      expect_http_answer(answer, bad.what);
      EXPECT_NE(answer.find(handshake.error().message), std::string::npos) << answer;
    } else {
      EXPECT_EQ(answer, bad.answer) << bad.what;
    }
    EXPECT_EQ(handshake.feed(as_bytes("more")), 0u) << bad.what;
  }
}

TEST(ProxyHandshake, RefusesTheSameHoweverItIsSplit) {
  for (const Bad& bad : bad_ones()) {
    if (bad.bytes.size() > 1000) continue;
    for (std::size_t cut = 0; cut < bad.bytes.size(); ++cut) {
      ProxyHandshake handshake;
      const ByteView all = as_bytes(bad.bytes);
      handshake.feed(all.first(cut));
      ASSERT_EQ(handshake.state(), State::kReading) << bad.what << ", cut at " << cut;
      handshake.feed(all.subspan(cut));
      ASSERT_EQ(handshake.state(), State::kFailed) << bad.what << ", cut at " << cut;
      EXPECT_TRUE(taken(handshake).starts_with(bad.answer)) << bad.what;
    }
  }
}

TEST(ProxyHandshake, SaysHowItIsUsedWhenItIsTakenForAWebProxy) {
  ProxyHandshake handshake;
  handshake.feed(as_bytes("GET http://svc/ HTTP/1.1\r\n\r\n"));
  const std::string answer = taken(handshake);
  EXPECT_NE(answer.find("only CONNECT is served; this is a proxy for tunnels"), std::string::npos) << answer;
  EXPECT_NE(answer.find("--proxytunnel"), std::string::npos) << answer;
  EXPECT_NE(answer.find("socks5h://"), std::string::npos) << answer;
}

// --- what came of it ---

ProxyHandshake requested(const std::string& bytes) {
  ProxyHandshake handshake;
  handshake.feed(as_bytes(bytes));
  EXPECT_EQ(handshake.state(), State::kRequested);
  return handshake;
}
ProxyHandshake socks4() { return requested("\x04\x01\x00\x50\x0a\x00\x00\x05\x00"s); }
ProxyHandshake socks4a() { return requested("\x04\x01\x00\x50\x00\x00\x00\x01\x00svc\x00"s); }
ProxyHandshake socks5() { return requested(connect5("svc")); }
ProxyHandshake http() { return requested("CONNECT svc:443 HTTP/1.1\r\n\r\n"); }

TEST(ProxyHandshake, TellsOfSuccessInTheClientsProtocol) {
  EXPECT_EQ(as_text(socks4().success()), kGranted4);
  EXPECT_EQ(as_text(socks4a().success()), kGranted4);
  EXPECT_EQ(as_text(socks5().success()), kGranted5);
  EXPECT_EQ(as_text(http().success()), "HTTP/1.1 200 Connection established\r\n\r\n");
}

struct Mapping {
  Errc code;
  const char* message;
  char socks5;
  int http;
};

const Mapping kMappings[] = {
    {Errc::kRefused, "svc:443: the server forbids it (open failed)", 2, 403},
    {Errc::kRefused, "svc:443: the server does not know this kind of channel", 2, 403},
    {Errc::kUnreachable, "svc:443: the server could not connect (Connection refused)", 5, 502},
    {Errc::kUnreachable, "svc:443: connection refused", 5, 502},
    {Errc::kUnreachable, "svc:443: the server could not connect (No route to host)", 4, 502},
    {Errc::kUnreachable, "svc:443: the server could not connect (Name or service not known)", 4, 502},
    {Errc::kUnreachable, "svc:443: the server could not connect", 4, 502},
    {Errc::kUnreachable, "connection-refused.timed-out.lan:443: the server could not connect", 4, 502},
    {Errc::kUnreachable, "svc:443: the server could not connect (Network is unreachable)", 3, 502},
    {Errc::kUnreachable, "svc:443: the server could not connect (Network is down)", 3, 502},
    {Errc::kUnreachable, "svc:443: the server could not connect (Connection timed out)", 6, 504},
    {Errc::kUnreachable, "svc:443: the server could not connect (Operation timed out)", 6, 504},
    {Errc::kTimeout, "svc:443: no answer in time", 6, 504},
    {Errc::kLimit, "too many channels on this connection (10)", 1, 503},
    {Errc::kInvalid, "e", 1, 502},
    {Errc::kNotFound, "e", 1, 502},
    {Errc::kInUse, "e", 1, 502},
    {Errc::kAuth, "e", 1, 502},
    {Errc::kNeedsPerson, "e", 1, 502},
    {Errc::kCancelled, "e", 1, 502},
    {Errc::kHostKey, "e", 1, 502},
    {Errc::kProtocol, "e", 1, 502},
    {Errc::kClosed, "e", 1, 502},
    {Errc::kUnsupported, "e", 1, 502},
    {Errc::kInternal, "e", 1, 502},
};

TEST(ProxyHandshake, TellsOfFailureInTheClientsProtocol) {
  for (const Mapping& mapping : kMappings) {
    const Error error{mapping.code, mapping.message, {}};
    EXPECT_EQ(as_text(socks5().failure(error)), refused5(mapping.socks5)) << mapping.message;
    EXPECT_EQ(as_text(socks4().failure(error)), kRefused4);
    EXPECT_EQ(as_text(socks4a().failure(error)), kRefused4);
    const std::string answer(as_text(http().failure(error)));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(mapping.http) + " ")) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\njumpagent: "s + mapping.message + "\n")) << answer;
    expect_http_answer(answer, mapping.message);
  }
}

TEST(ProxyHandshake, PutsTheWayOutIntoAnHttpRefusal) {
  const std::string answer(
      as_text(http().failure(Error{Errc::kAuth, "login failed", "run: jumpctl connect prod"})));
  EXPECT_TRUE(answer.ends_with("\r\n\r\njumpagent: login failed; run: jumpctl connect prod\n")) << answer;
}

TEST(ProxyHandshake, KeepsForeignTextFromBreakingAnHttpAnswer) {
  const Error error{Errc::kRefused, "a\r\n\r\nHTTP/1.1 200 OK\r\n\x1b[2J" + std::string(5000, 'x'), {}};
  const std::string answer(as_text(http().failure(error)));
  expect_http_answer(answer, "foreign text");
  EXPECT_LT(answer.size(), 1500u);
}

TEST(ProxyHandshake, NamesItsProtocols) {
  EXPECT_EQ(proxy_protocol_name(Protocol::kUnknown), "unknown");
  EXPECT_EQ(proxy_protocol_name(socks4().protocol()), "SOCKS4");
  EXPECT_EQ(proxy_protocol_name(socks4a().protocol()), "SOCKS4a");
  EXPECT_EQ(proxy_protocol_name(socks5().protocol()), "SOCKS5");
  EXPECT_EQ(proxy_protocol_name(http().protocol()), "HTTP CONNECT");
}

}  // namespace
}  // namespace jump
