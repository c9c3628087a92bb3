#include "proto/codec.h"

#include <gtest/gtest.h>

#include <limits>

namespace jump::proto {
namespace {

Json json(std::string_view text) {
  Result<Json> parsed = Json::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : Json();
}

// The error of decoding `text`, or "ok".
template <class P>
std::string error_of(std::string_view text) {
  Result<P> decoded = decode_params<P>(json(text));
  return decoded.ok() ? "ok" : decoded.error().message;
}

HostStatus full_host() {
  HostStatus m;
  m.host = "prod";
  m.address = "deploy@10.0.0.5:22";
  m.state = "ready";
  m.error = "gone";
  m.error_age = 1.5;
  m.age = 2.5;
  m.algorithms = "a b";
  m.rtt = 0.25;
  m.heard_age = 20.5;
  m.unanswered = 21.5;
  m.channels = 1;
  m.channels_opening = 2;
  m.bytes_in = std::numeric_limits<std::uint64_t>::max();
  m.bytes_out = 4;
  m.rekeys = 5;
  m.logins = 6;
  m.queued_out = 7;
  m.held_in = 8;
  m.waiting = 9;
  m.channels_closing = 10;
  m.answers_owed = 11;
  m.replies_awaited = 12;
  m.opens_refused = 13;
  m.opens_timed_out = 14;
  m.window_stalls = 15;
  m.window_growths = 16;
  m.largest_window = 17;
  m.lanes = 18;
  m.lane_logins = 19;
  m.signals_refused = 22;
  return m;
}

ForwardStatus full_forward() {
  ForwardStatus m;
  m.id = "f1";
  m.name = "web";
  m.kind = "local";
  m.spec = "8080:svc:80";
  m.listen = "127.0.0.1:8080";
  m.target = "svc:80";
  m.via = "prod";
  m.state = "active";
  m.error = "refused";
  m.error_age = 1;
  m.connections = 2;
  m.connections_total = 3;
  m.refused = 4;
  m.bytes_in = 5;
  m.bytes_out = 6;
  m.age = 7;
  m.accept_pauses = 8;
  m.persist = true;
  m.held = 9;
  m.exposed = true;
  m.rate_in = 10.5;
  m.rate_out = 11.5;
  m.targets = {{"svc:81", "no", 12.5, 13}};
  return m;
}

Interaction full_interaction() {
  return {"i1",        "password",  "prod", "prod, me@h:22", "PAM", "read this", {{"Password: ", false}, {"Code: ", true}},
          119.5};
}

AgentStatus full_agent() {
  AgentStatus m;
  m.version = "0.1.0";
  m.pid = 1;
  m.instance = "i";
  m.uptime = 2;
  m.socket = "/s";
  m.clients = 3;
  m.clients_refused = 4;
  m.protocol_errors = 5;
  m.loop_lag_max = 0.5;
  m.loop_lag_mean = 0.25;
  m.memory = 6;
  m.descriptors = 7;
  m.clients_total = 8;
  m.clients_cut_off = 9;
  m.clients_over_limit = 10;
  m.peers_turned_away = 11;
  m.requests_paused = 12;
  m.descriptor_limit = 13;
  m.accept_pauses = 14;
  m.window_budget = 15;
  m.window_held = 16;
  m.sessions_refused = 19;
  m.sessions_total = 20;
  m.mux_clients = 21;
  m.mux_clients_refused = 22;
  m.mux_clients_total = 23;
  m.state_file = "/st";
  m.state_problem = "bad";
  m.state_usable = false;
  return m;
}

// Each message as it is on the wire: a field that is forgotten, renamed or swapped shows here.
TEST(Codec, WritesEveryField) {
  EXPECT_EQ(encode(full_host()).dump(),
            R"({"address":"deploy@10.0.0.5:22","age":2.5,"algorithms":"a b","answers_owed":11,)"
            R"("bytes_in":18446744073709551615,"bytes_out":4,"channels":1,"channels_closing":10,)"
            R"("channels_opening":2,"error":"gone","error_age":1.5,"heard_age":20.5,"held_in":8,"host":"prod",)"
            R"("ignored":[],"lane_logins":19,"lanes":18,"largest_window":17,)"
            R"("logins":6,"members":[],"opens_refused":13,"opens_timed_out":14,"queued_out":7,)"
            R"("rekeys":5,"replies_awaited":12,"rtt":0.25,"same_as":"","serving":"","signals_refused":22,"state":"ready","unanswered":21.5,"via":"","waiting":9,"warning":"",)"
            R"("window_growths":16,"window_stalls":15})");
  EXPECT_EQ(
      encode(full_forward()).dump(),
      R"({"accept_pauses":8,"age":7.0,"bytes_in":5,"bytes_out":6,"connections":2,"connections_total":3,)"
      R"("error":"refused","error_age":1.0,"exposed":true,"held":9,"id":"f1","kind":"local",)"
      R"("listen":"127.0.0.1:8080","name":"web","origin":"","persist":true,"prewarm":0,"prewarmed":0,)"
      R"("rate_in":10.5,"rate_out":11.5,"refused":4,"spec":"8080:svc:80","state":"active","target":"svc:80",)"
      R"("targets":[{"error":"no","error_age":12.5,"refused":13,"target":"svc:81"}],"via":"prod","via_rule":""})");
  EXPECT_EQ(encode(full_agent()).dump(),
            R"({"accept_pauses":14,"build":"","clients":3,"clients_cut_off":9,"clients_over_limit":10,)"
            R"("clients_refused":4,"clients_total":8,"config":"","descriptor_limit":13,"descriptors":7,)"
            R"("instance":"i","log_lost":0,"loop_lag_max":0.5,"loop_lag_mean":0.25,"memory":6,"mux_clients":21,"mux_clients_refused":22,)"
            R"("mux_clients_total":23,"options":[],"peers_turned_away":11,"pid":1,)"
            R"("protocol_errors":5,"requests_paused":12,"sessions_refused":19,"sessions_total":20,"socket":"/s","ssh_config":"",)"
            R"("state":"running","state_file":"/st","state_problem":"bad","state_usable":false,"supervised":false,"uptime":2.0,)"
            R"("version":"0.1.0","watchers":0,"watchers_lagged":0,"window_budget":15,"window_held":16})");
  EXPECT_EQ(encode(HelloParams{"me 1", 1, 3}).dump(), R"({"capabilities":[],"client":"me 1","protocol":[1,3]})");
  EXPECT_EQ(encode(HelloResult{1, "0.1.0", {"a", "b"}, "i", 42}).dump(),
            R"({"capabilities":["a","b"],"instance":"i","pid":42,"protocol":1,"version":"0.1.0"})");
  EXPECT_EQ(encode(HostConnectParams{"prod", 1.5}).dump(), R"({"host":"prod","timeout":1.5})");
  EXPECT_EQ(encode(HostDisconnectParams{"prod"}).dump(), R"({"host":"prod"})");
  EXPECT_EQ(encode(ForwardOpenParams{"remote", "s", "v", "n", 3, 2.0, true, false}).dump(),
            R"({"hold":true,"kind":"remote","name":"n","persist":false,"prewarm":3,"spec":"s","timeout":2.0,)"
            R"("via":"v"})");
  EXPECT_EQ(encode(ForwardCloseParams{"f1"}).dump(), R"({"forward":"f1"})");
  EXPECT_EQ(encode(full_interaction()).dump(),
            R"({"hop":"prod, me@h:22","host":"prod","id":"i1","kind":"password",)"
            R"("prompts":[{"echo":false,"text":"Password: "},{"echo":true,"text":"Code: "}],)"
            R"("text":"read this","timeout":119.5,"title":"PAM"})");
  EXPECT_EQ(encode(InteractionEnded{"i1", "timeout"}).dump(), R"({"id":"i1","reason":"timeout"})");
  EXPECT_EQ(encode(Notice{"prod", "prod, me@h:22", "hi"}).dump(),
            R"({"hop":"prod, me@h:22","host":"prod","text":"hi"})");
  EXPECT_EQ(encode(InteractionStatus{"i1", "password", "prod", "p", 1.5, true}).dump(),
            R"({"age":1.5,"claimed":true,"hop":"p","host":"prod","id":"i1","kind":"password"})");
  EXPECT_EQ(encode(InteractionClaimParams{"i1"}).dump(), R"({"id":"i1"})");
  EXPECT_EQ(encode(InteractionDeclineParams{"i1"}).dump(), R"({"id":"i1"})");
  EXPECT_EQ(encode(InteractionDeclineParams{"i1", "no"}).dump(), R"({"id":"i1","reason":"no"})");
  EXPECT_EQ(encode(Empty{}).dump(), "{}");
  EXPECT_EQ(encode(RpcError{-32000, "m", "auth", "h"}).dump(),
            R"({"code":-32000,"data":{"hint":"h","kind":"auth"},"message":"m"})");
}

// What was written is read again: same text, so same fields.
template <class T>
void expect_round_trip(const T& message) {
  const std::string text = encode(message).dump();
  Result<T> again = decode<T>(json(text), "x");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(encode(*again).dump(), text);
}

TEST(Codec, JsonNeverHasTheTextOfAnAnswer) {
  InteractionRespondParams params;
  params.id = "i1";
  params.answers.emplace_back(std::string_view("hunter2"));
  EXPECT_EQ(encode(params).dump(), R"({"answers":[""],"cancelled":false,"id":"i1"})");
}

TEST(Codec, InteractionsNameWhatIsWrong) {
  EXPECT_EQ(error_of<InteractionClaimParams>("{}"), "params.id: expected a string, found nothing");
  EXPECT_EQ(error_of<InteractionRespondParams>(R"({"id":7})"), "params.id: expected a string, found a number");
  EXPECT_EQ(error_of<InteractionRespondParams>(R"({"id":"i1","answers":""})"),
            "params.answers: expected an array, found a string");
  EXPECT_EQ(error_of<InteractionRespondParams>(R"({"id":"i1","answers":["",1]})"),
            "params.answers[1]: expected a string, found a number");
  EXPECT_EQ(error_of<InteractionRespondParams>(R"({"id":"i1","cancelled":"yes"})"),
            "params.cancelled: expected a boolean, found a string");
  EXPECT_EQ(error_of<HelloParams>(R"({"capabilities":"interactions"})"),
            "params.capabilities: expected an array, found a string");
}

TEST(Codec, ReadsWhatItWrites) {
  expect_round_trip(full_host());
  expect_round_trip(full_forward());
  expect_round_trip(full_agent());
  expect_round_trip(HelloParams{"me", 2, 5});
  expect_round_trip(HelloResult{1, "v", {"a", "b"}, "i", 42});
  expect_round_trip(HostConnectParams{"prod", 1.5});
  expect_round_trip(HostConnectResult{full_host(), true});
  expect_round_trip(HostDisconnectParams{"prod"});
  expect_round_trip(ForwardOpenParams{"remote", "s", "v", "n", 3, 2.0, true, true});
  expect_round_trip(ForwardOpenResult{full_forward(), true});
  expect_round_trip(ForwardCloseParams{"f1"});
  expect_round_trip(ForwardCloseResult{full_forward()});
  expect_round_trip(ForwardListResult{{full_forward(), full_forward()}});
  expect_round_trip(StatusResult{full_agent(), {full_host()}, {full_forward()}});
  expect_round_trip(HelloParams{"me", 1, 1, {"interactions", "more"}});
  expect_round_trip(full_interaction());
  expect_round_trip(InteractionEnded{"i1", "timeout"});
  expect_round_trip(Notice{"prod", "p", "hi"});
  expect_round_trip(InteractionStatus{"i1", "password", "prod", "p", 1.5, true});
  expect_round_trip(RouteListResult{{{{"*.prod", "!db.prod"}, "bastion"}}, "other"});
  expect_round_trip(HostWayResult{{"gate", "bastion"}});
  expect_round_trip(SshConfigResult{"Host *\n", "/config", false});
  expect_round_trip(StatusResult{full_agent(), {}, {}, {{"i1", "password", "prod", "p", 1.5, true}}});
  expect_round_trip(RpcError{-1, "m", "auth", "h"});
}

TEST(Codec, LeavesOutAnOptionalValueThatIsNotThere) {
  EXPECT_EQ(encode(HostConnectParams{"prod", {}}).dump(), R"({"host":"prod"})");
}

TEST(Codec, OptionalFieldsMayBeMissingOrNull) {
  Result<ForwardOpenParams> missing = decode_params<ForwardOpenParams>(json(R"({"spec":"8080:svc:80"})"));
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(missing->via, "");
  EXPECT_FALSE(missing->timeout);
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"spec":"s","via":null,"name":null,"timeout":null})"), "ok");
  EXPECT_EQ(error_of<HelloParams>(R"({"client":null,"protocol":null})"), "ok");
}

TEST(Codec, UnknownFieldsAreIgnored) {
  EXPECT_EQ(error_of<HostConnectParams>(R"({"host":"prod","colour":["blue"],"x":{"host":1}})"), "ok");
}

TEST(Codec, AbsentParamsAreAnEmptyObject) {
  EXPECT_TRUE(decode_params<Empty>(Json()).ok());
  EXPECT_EQ(error_of<HostConnectParams>("null"), "params.host: expected a string, found nothing");
}

TEST(Codec, NamesTheWrongField) {
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"spec":"s","via":7})"),
            "params.via: expected a string, found a number");
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"via":"v"})"), "params.spec: expected a string, found nothing");
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"spec":null})"), "params.spec: expected a string, found null");
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"spec":["s"]})"),
            "params.spec: expected a string, found an array");
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"spec":{"s":1}})"),
            "params.spec: expected a string, found an object");
  EXPECT_EQ(error_of<ForwardOpenParams>(R"({"spec":true})"),
            "params.spec: expected a string, found a boolean");
  EXPECT_EQ(error_of<ForwardOpenParams>("[1]"), "params: expected an object, found an array");
  EXPECT_EQ(error_of<ForwardOpenParams>("3"), "params: expected an object, found a number");
  EXPECT_EQ(error_of<HostConnectParams>(R"({"host":"h","timeout":"1"})"),
            "params.timeout: expected a number, found a string");
}

TEST(Codec, NamesTheWrongFieldInsideOfOthers) {
  const auto status_error = [](std::string_view text) {
    Result<StatusResult> decoded = decode_result<StatusResult>(json(text));
    return decoded.ok() ? "ok" : decoded.error().message;
  };
  EXPECT_EQ(status_error(R"({"agent":{"pid":"x"},"hosts":[],"forwards":[]})"),
            "result.agent.pid: expected an integer, found a string");
  EXPECT_EQ(
      status_error(
          R"({"agent":{},"hosts":[{"host":"a","state":"ready"},{"host":"b","state":1}],"forwards":[]})"),
      "result.hosts[1].state: expected a string, found a number");
  EXPECT_EQ(status_error(R"({"agent":{},"hosts":{},"forwards":[]})"),
            "result.hosts: expected an array, found an object");
  EXPECT_EQ(status_error(R"({"agent":[],"hosts":[],"forwards":[]})"),
            "result.agent: expected an object, found an array");
}

TEST(Codec, ChecksIntegers) {
  const auto host_error = [](std::string_view channels) {
    return error_of<HostStatus>(R"({"host":"h","state":"s","channels":)" + std::string(channels) + "}");
  };
  EXPECT_EQ(host_error("18446744073709551615"), "ok");
  EXPECT_EQ(host_error("-1"), "params.channels: expected a non-negative integer, found -1");
  EXPECT_EQ(host_error("1.5"), "params.channels: expected a non-negative integer, found 1.5");
  EXPECT_EQ(host_error("true"), "params.channels: expected a non-negative integer, found a boolean");
  const auto pid_error = [](std::string_view pid) {
    return error_of<HelloResult>(R"({"protocol":1,"pid":)" + std::string(pid) + "}");
  };
  EXPECT_EQ(pid_error("-2147483648"), "ok");
  EXPECT_EQ(pid_error("2147483648"), "params.pid: expected an integer of 32 bits, found 2147483648");
  EXPECT_EQ(pid_error("-2147483649"), "params.pid: expected an integer of 32 bits, found -2147483649");
  EXPECT_EQ(pid_error("18446744073709551615"),
            "params.pid: expected an integer of 32 bits, found 18446744073709551615");
}

TEST(Codec, BoundsTimeouts) {
  const auto timeout_error = [](std::string_view timeout) {
    return error_of<HostConnectParams>(R"({"host":"h","timeout":)" + std::string(timeout) + "}");
  };
  EXPECT_EQ(timeout_error("0"), "ok");
  EXPECT_EQ(timeout_error("0.25"), "ok");
  EXPECT_EQ(timeout_error("86400"), "ok");
  EXPECT_EQ(timeout_error("86400.5"), "params.timeout: expected seconds, 0 to 86400, found 86400.5");
  EXPECT_EQ(timeout_error("-1"), "params.timeout: expected seconds, 0 to 86400, found -1");
  EXPECT_EQ(timeout_error("1e300"), "params.timeout: expected seconds, 0 to 86400, found 1e+300");
}

TEST(Codec, ReadsTheProtocolRange) {
  Result<HelloParams> hello = decode_params<HelloParams>(json(R"({"protocol":[2,7]})"));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->protocol_min, 2);
  EXPECT_EQ(hello->protocol_max, 7);
  for (const char* bad : {R"({"protocol":1})", R"({"protocol":[1]})", R"({"protocol":[1,2,3]})",
                          R"({"protocol":[2,1]})", R"({"protocol":["1","2"]})"}) {
    EXPECT_EQ(
        error_of<HelloParams>(bad).rfind("params.protocol: expected [lowest, highest], two integers", 0), 0U)
        << bad;
  }
}

TEST(Codec, WritesTextThatIsNotUtf8AsReplacementCharacters) {
  const std::string text = encode(HostDisconnectParams{"a\xff z"}).dump();
  EXPECT_EQ(text, "{\"host\":\"a\xef\xbf\xbd z\"}");
  EXPECT_TRUE(Json::parse(text).ok());
}

TEST(Json, RefusesWhatIsNoJson) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "nul", "{'a':1}", "1 2", "\"\xff\"", "\"a",
                           "{\"a\" 1}", "\xef\xbb", "[1e999]", "\"\\ud800\""}) {
    Result<Json> parsed = Json::parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, Errc::kInvalid);
  }
  EXPECT_EQ(Json::parse("[1, x]").error().message, "not valid JSON, at byte 5");
}

TEST(Json, ErrorsDoNotRepeatTheText) {
  EXPECT_EQ(Json::parse("{\"secret\" hunter2}").error().message.find("hunter"), std::string::npos);
}

TEST(Json, BoundsTheDepth) {
  const std::size_t most = Json::kMaxDepth;
  EXPECT_TRUE(Json::parse(std::string(most, '[') + std::string(most, ']')).ok());
  EXPECT_FALSE(Json::parse(std::string(most + 1, '[') + std::string(most + 1, ']')).ok());
  EXPECT_EQ(Json::parse(std::string(100'000, '[')).error().message, "nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(Json::parse(objects).error().message, "nested deeper than 64 levels");
}

TEST(Json, KeepsWhatItParsed) {
  for (const char* text : {"null", "true", "-7", "18446744073709551615", "0.5", "\"\xc3\xa9\\n\"", "[]", "{}",
                           R"({"a":[1,{"b":[[]]},"x"],"c":{"d":null,"e":{}}})", "[[1],[2,[3]],4]"}) {
    EXPECT_EQ(json(text).dump(), text);
  }
  EXPECT_EQ(json(R"({"a":1,"a":2})").dump(), R"({"a":2})");
}

TEST(Json, ShowsNoControlCharactersOnATerminal) {
  const std::string text = json("\"\\u001b[31m \xc2\x9b \xe2\x80\xae\"").pretty();
  for (const char c : text) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << text;
}

TEST(ErrorKinds, MapBothWays) {
  for (const Errc code :
       {Errc::kInvalid, Errc::kNotFound, Errc::kInUse, Errc::kRefused, Errc::kUnreachable, Errc::kTimeout,
        Errc::kAuth, Errc::kHostKey, Errc::kProtocol, Errc::kClosed, Errc::kNeedsPerson, Errc::kCancelled,
        Errc::kLimit, Errc::kUnsupported, Errc::kInternal}) {
    EXPECT_EQ(errc_of_kind(errc_name(code)), code) << errc_name(code);
  }
  EXPECT_EQ(errc_of_kind("of_a_newer_agent"), Errc::kRefused);
  EXPECT_EQ(errc_of_kind(""), Errc::kRefused);
}

TEST(ErrorKinds, AnErrorSurvivesTheWay) {
  const Error error = to_error(to_rpc_error(Error{Errc::kHostKey, "changed", "look"}));
  EXPECT_EQ(error.code, Errc::kHostKey);
  EXPECT_EQ(error.message, "changed");
  EXPECT_EQ(error.hint, "look");
  EXPECT_EQ(to_rpc_error(error).code, kFailed);
  EXPECT_EQ(to_rpc_error(error, kInvalidParams).code, kInvalidParams);
}

TEST(ErrorKinds, ForeignErrorDataIsNoError) {
  Result<RpcError> error = decode<RpcError>(json(R"({"code":-1,"message":"m","data":"text"})"), "error");
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error->kind, "");
}

TEST(Negotiate, ChoosesTheHighestCommonVersion) {
  static_assert(kProtocolMin == 1 && kProtocolMax == 1, "new versions need new cases");
  EXPECT_EQ(*negotiate(HelloParams{"c", 1, 1}), 1);
  EXPECT_EQ(*negotiate(HelloParams{"c", 0, 9}), 1);
  Result<int> newer = negotiate(HelloParams{"c", 2, 3});
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code, Errc::kUnsupported);
  EXPECT_EQ(newer.error().message, "no common protocol version: the client speaks 2 to 3, this agent 1 to 1");
  EXPECT_EQ(newer.error().hint, "update jumpagent");
  EXPECT_EQ(negotiate(HelloParams{"c", -1, 0}).error().hint, "update the client");
}

}  // namespace
}  // namespace jump::proto
