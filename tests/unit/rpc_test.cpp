#include "proto/rpc.h"

#include <gtest/gtest.h>

namespace jump::proto {
namespace {

Request request_of(std::string_view line) {
  auto parsed = parse_request(line);
  auto* bad = std::get_if<BadRequest>(&parsed);
  EXPECT_EQ(bad, nullptr) << line << ": " << bad->error.message;
  return bad == nullptr ? std::get<Request>(std::move(parsed)) : Request{};
}

// "ID CODE MESSAGE" of a bad request, "ok" of a good one.
std::string refusal_of(std::string_view line) {
  auto parsed = parse_request(line);
  const auto* bad = std::get_if<BadRequest>(&parsed);
  if (bad == nullptr) return "ok";
  return bad->id + " " + std::to_string(bad->error.code) + " " + bad->error.message;
}

TEST(RpcRequest, IsTakenApart) {
  const Request request =
      request_of(R"({"jsonrpc":"2.0","id":7,"method":"status","params":{"a":[1]},"more":1})");
  EXPECT_EQ(request.method, "status");
  EXPECT_EQ(request.id, "7");
  EXPECT_EQ(request.params.dump(), R"({"a":[1]})");
  EXPECT_FALSE(request.is_notification());
}

TEST(RpcRequest, KeepsItsId) {
  for (const char* id :
       {"0", "-1", "18446744073709551615", "1.5", "\"a \\\"b\\\" \xc3\xa9\"", "\"\"", "null"}) {
    const std::string line = R"({"jsonrpc":"2.0","method":"m","id":)" + std::string(id) + "}";
    EXPECT_EQ(request_of(line).id, id);
  }
}

TEST(RpcRequest, WithoutIdIsANotification) {
  EXPECT_TRUE(request_of(R"({"jsonrpc":"2.0","method":"m"})").is_notification());
  EXPECT_FALSE(request_of(R"({"jsonrpc":"2.0","method":"m","id":null})").is_notification());
}

// What is wrong with params, only their method can tell.
TEST(RpcRequest, ParamsMayBeAnything) {
  EXPECT_EQ(request_of(R"({"jsonrpc":"2.0","method":"m","id":1})").params.dump(), "null");
  EXPECT_EQ(request_of(R"({"jsonrpc":"2.0","method":"m","id":1,"params":null})").params.dump(), "null");
  EXPECT_EQ(request_of(R"({"jsonrpc":"2.0","method":"m","id":1,"params":[1]})").params.dump(), "[1]");
  EXPECT_EQ(request_of(R"({"jsonrpc":"2.0","method":"m","id":1,"params":7})").params.dump(), "7");
}

TEST(RpcRequest, IsRefusedWithTheReason) {
  EXPECT_EQ(refusal_of("hello"), "null -32700 not valid JSON, at byte 1");
  EXPECT_EQ(refusal_of("{\"a\":\"\xff\"}"), "null -32700 not valid JSON, at byte 7");
  EXPECT_EQ(refusal_of(R"([{"jsonrpc":"2.0","method":"m","id":1}])"),
            "null -32600 batches are not supported: send one request object per line");
  EXPECT_EQ(refusal_of("[]"), "null -32600 batches are not supported: send one request object per line");
  EXPECT_EQ(refusal_of("7"), "null -32600 request: expected an object, found number");
  EXPECT_EQ(refusal_of(R"({"id":1,"method":"m"})"), "1 -32600 jsonrpc: expected the string \"2.0\"");
  EXPECT_EQ(refusal_of(R"({"jsonrpc":2.0,"id":1,"method":"m"})"),
            "1 -32600 jsonrpc: expected the string \"2.0\"");
  EXPECT_EQ(refusal_of(R"({"jsonrpc":"2.0","id":1})"), "1 -32600 method: expected a string, found nothing");
  EXPECT_EQ(refusal_of(R"({"jsonrpc":"2.0","id":"x","method":7})"),
            "\"x\" -32600 method: expected a string, found number");
  EXPECT_EQ(refusal_of(R"({"jsonrpc":"2.0"})"), "null -32600 method: expected a string, found nothing");
  EXPECT_EQ(refusal_of(R"({"jsonrpc":"2.0","id":{},"method":"m"})"),
            "null -32600 id: expected a string or number of at most 1024 bytes, or null");
}

TEST(RpcRequest, BoundsTheId) {
  const auto with_id = [](std::size_t size) {
    return R"({"jsonrpc":"2.0","method":"m","id":")" + std::string(size, 'x') + "\"}";
  };
  EXPECT_EQ(refusal_of(with_id(1022)), "ok");  // and two quotes
  EXPECT_NE(refusal_of(with_id(1023)), "ok");
}

TEST(RpcRequest, SurvivesDepthBombs) {
  EXPECT_EQ(refusal_of(std::string(100'000, '[')), "null -32700 nested deeper than 64 levels");
  EXPECT_EQ(refusal_of(R"({"jsonrpc":"2.0","method":"m","id":1,"params":)" + std::string(500'000, '[') +
                       std::string(500'000, ']') + "}"),
            "null -32700 nested deeper than 64 levels");
}

TEST(RpcRequest, EncodedIsParsedAgain) {
  const std::string line = encode_request(3, method::kForwardClose, ForwardCloseParams{"f1"});
  EXPECT_EQ(line,
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"forward.close\",\"params\":{\"forward\":\"f1\"}}\n");
  const Request request = request_of(line);
  EXPECT_EQ(request.method, "forward.close");
  EXPECT_EQ(decode_params<ForwardCloseParams>(request.params)->forward, "f1");
}

TEST(RpcRequest, EncodedWithoutParamsHasAnEmptyObject) {
  EXPECT_EQ(encode_request(1, "m", Json()),
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{}}\n");
}

TEST(RpcAnswer, CarriesAResult) {
  const std::string line = encode_result("\"my id\"", ForwardListResult{});
  EXPECT_EQ(line, "{\"jsonrpc\":\"2.0\",\"id\":\"my id\",\"result\":{\"forwards\":[]}}\n");
  Result<Answer> answer = parse_answer(line);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->id, "\"my id\"");
  EXPECT_FALSE(answer->error);
  EXPECT_TRUE(decode_result<ForwardListResult>(answer->result)->forwards.empty());
}

TEST(RpcAnswer, CarriesAnError) {
  const std::string line = encode_reply<Empty>("1", Error{Errc::kAuth, "no\nway", "try"});
  EXPECT_EQ(line,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"data\":{\"hint\":\"try\",\"kind\":"
            "\"auth\"},"
            "\"message\":\"no\\nway\"}}\n");
  Result<Answer> answer = parse_answer(line);
  ASSERT_TRUE(answer.ok() && answer->error);
  EXPECT_EQ(answer->error->kind, "auth");
  EXPECT_EQ(to_error(*answer->error).code, Errc::kAuth);
  EXPECT_EQ(answer->error->hint, "try");
}

TEST(RpcAnswer, IsAlwaysOneLine) {
  HostConnectResult result;
  result.host.error = "line 1\nline 2\r\n";
  const std::string line = encode_result("1", result);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(RpcAnswer, ToAnUnknownMethodNamesIt) {
  EXPECT_EQ(method_not_found("a.b").message, "unknown method: a.b");
  EXPECT_EQ(method_not_found("a.b").code, kMethodNotFound);
  EXPECT_LT(encode_error("1", method_not_found(std::string(kMaxLine, 'x'))).size(), 1000U);
}

TEST(RpcAnswer, MayBeANotificationOfTheAgent) {
  Result<Answer> event = parse_answer(R"({"jsonrpc":"2.0","method":"event","params":{"seq":1}})");
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->method, "event");
  EXPECT_EQ(event->id, "");
  EXPECT_EQ(event->result.dump(), R"({"seq":1})");
}

TEST(RpcAnswer, ThatIsNoneIsAProtocolError) {
  for (const char* line : {"", "7", "[]", "{}", R"({"id":{},"result":1})", R"({"id":1,"error":"x"})",
                           R"({"id":1,"error":{"code":"x","message":"m"}})", "\xff"}) {
    Result<Answer> answer = parse_answer(line);
    ASSERT_FALSE(answer.ok()) << line;
    EXPECT_EQ(answer.error().code, Errc::kProtocol) << line;
  }
}

}  // namespace
}  // namespace jump::proto
