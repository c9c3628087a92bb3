// Secrets on their way through lines of JSON: they are out of a line before anything parses it, whatever the
// line is, and arrive as they were typed. The buffers that carry lines leave nothing behind.
#include "proto/answers.h"

#include <gtest/gtest.h>

#include "proto/line_framer.h"
#include "proto/rpc.h"
#include "proto/wiped_buffer.h"

namespace jump::proto {
namespace {

std::vector<std::string> texts(const std::vector<Secret>& secrets) {
  std::vector<std::string> out;
  for (const Secret& each : secrets) out.emplace_back(each.text());
  return out;
}
using Texts = std::vector<std::string>;

Lifted lift(std::string_view line) {
  std::optional<Lifted> lifted = lift_answers(line);
  EXPECT_TRUE(lifted) << line;
  return lifted ? *std::move(lifted) : Lifted{};
}

// --- out of a line ---

TEST(Answers, AreCutOutOfTheLine) {
  Lifted lifted = lift(R"({"id":1,"params":{"answers": [ "hunter2" , "123456" ],"id":"i1"}})");
  EXPECT_EQ(lifted.line, R"({"id":1,"params":{"answers": [ "" , "" ],"id":"i1"}})");
  EXPECT_EQ(texts(lifted.answers), (Texts{"hunter2", "123456"}));
}

TEST(Answers, ALineWithoutThemIsLeftAlone) {
  EXPECT_FALSE(lift_answers(R"({"id":1,"method":"status"})"));
  EXPECT_FALSE(lift_answers(R"({"id":1,"method":"answers"})"));
  EXPECT_FALSE(lift_answers(R"({"x":"the answers: none"})"));
  EXPECT_FALSE(lift_answers(R"({"\"answers":["a"]})"));
  EXPECT_FALSE(lift_answers(""));
}

TEST(Answers, EscapesMeanWhatJsonSays) {
  Lifted lifted =
      lift(R"({"answers":["\"\\\/\b\f\n\r\t","\u0041\u00e9\u20ac","\ud83d\udd11","a]b,c}","é"]})");
  EXPECT_EQ(texts(lifted.answers),
            (Texts{"\"\\/\b\f\n\r\t", "A\xc3\xa9\xe2\x82\xac", "\xf0\x9f\x94\x91", "a]b,c}", "\xc3\xa9"}));
  EXPECT_EQ(lifted.line, R"({"answers":["","","","",""]})");
}

TEST(Answers, BytesOfAnotherEncodingPass) {
  EXPECT_EQ(texts(lift("{\"answers\":[\"caf\xe9\"]}").answers), Texts{"caf\xe9"});
}

TEST(Answers, WhatIsNoStringMakesTheLineNoJson) {
  for (const char* wrong : {R"("\x41")", R"("\u12")", R"("\ud800")", R"("\ud800\u0041")", R"("\udc00")",
                            "\"a\tb\"", R"("\u-123")"}) {
    Lifted lifted = lift(std::string(R"({"answers":["secret0",)") + wrong + "]}");
    EXPECT_EQ(lifted.line, R"({"answers":["",?]})") << wrong;
    EXPECT_FALSE(Json::parse(lifted.line).ok());
  }
}

// Whatever the line means in the end, no secret is left in it.
TEST(Answers, AreCutOutOfLinesThatAreNoRequest) {
  const std::pair<const char*, const char*> lines[] = {
      {R"({"params":{"answers":["hunter2)", R"({"params":{"answers":[?)"},
      {R"({"params":{"answers":["hunter2"})", R"({"params":{"answers":[""})"},
      {R"({"params":{"answers":"hunter2"}})", R"({"params":{"answers":""}})"},
      {R"({"params":{"answers":{"a":"hunter2"}}})", R"({"params":{"answers":{"":""}}})"},
      {R"({"params":{"answers":[["hunter2"]]}})", R"({"params":{"answers":[[""]]}})"},
      {R"({"answers":null,"x":"y"})", R"({"answers":null,"x":"y"})"},
      {R"({"answers" )", nullptr},
      {R"({"answers":)", R"({"answers":)"},
      {R"({"answers":["hunter2"],"answers":["hunter2"]})", R"({"answers":[""],"answers":[""]})"},
      {R"(garbage "answers":["hunter2"] garbage)", R"(garbage "answers":[""] garbage)"},
  };
  for (const auto& [line, left] : lines) {
    std::optional<Lifted> lifted = lift_answers(line);
    ASSERT_EQ(lifted.has_value(), left != nullptr) << line;
    if (left) {
      EXPECT_EQ(lifted->line, left);
    }
  }
}

TEST(Answers, AreBounded) {
  std::string line = R"({"answers":["a")";
  for (int i = 0; i < 1000; ++i) line += R"(,"a")";
  EXPECT_EQ(lift(line + "]}").answers.size(), kMaxAnswers);
}

// --- into a request, and out of it ---

InteractionRespondParams respond(std::vector<std::string> answers) {
  InteractionRespondParams params;
  params.id = "i7";
  for (const std::string& each : answers) params.answers.emplace_back(std::string_view(each));
  return params;
}

Result<InteractionRespondParams> parsed_params(std::string_view line) {
  auto parsed = parse_request(line);
  if (auto* bad = std::get_if<BadRequest>(&parsed)) return to_error(bad->error);
  return decode_params<InteractionRespondParams>(std::get<Request>(parsed));
}

TEST(Answers, ArriveAsTheyWereTyped) {
  const Texts typed = {"hunter2",
                       "",
                       "quote\" back\\slash",
                       "tab\tnewline\n\x01",
                       "caf\xe9",
                       std::string(5000, 'x'),
                       "\"],\"answers\":[\"",
                       std::string("nul\0byte", 8)};
  const Secret line = encode_respond(3, respond(typed));
  EXPECT_TRUE(line.text().ends_with("}\n"));
  EXPECT_EQ(line.text().find('\n'), line.text().size() - 1);
  auto params = parsed_params(line.text().substr(0, line.text().size() - 1));
  ASSERT_TRUE(params.ok()) << params.error().message;
  EXPECT_EQ(params->id, "i7");
  EXPECT_EQ(texts(params->answers), typed);
}

TEST(Answers, MayBeNone) {
  auto params = parsed_params(encode_respond(3, respond({})).text());
  ASSERT_TRUE(params.ok());
  EXPECT_TRUE(params->answers.empty());
  EXPECT_TRUE(parsed_params(R"({"jsonrpc":"2.0","method":"x","params":{"id":"i1","cancelled":true}})")
                  .value()
                  .cancelled);
}

TEST(Answers, TheParsedRequestHasNoneOfTheirText) {
  auto parsed = parse_request(encode_respond(1, respond({"hunter2"})).text());
  Request& request = std::get<Request>(parsed);
  EXPECT_EQ(request.params.dump(), R"({"answers":[""],"cancelled":false,"id":"i7"})");
  EXPECT_EQ(texts(request.answers), Texts{"hunter2"});
}

TEST(Answers, OfTheWrongKindAreRefusedWithoutBeingRepeated) {
  const auto error = [](std::string_view answers) {
    auto params =
        parsed_params(R"({"jsonrpc":"2.0","method":"x","params":{"id":"i1",)" + std::string(answers) + "}}");
    return params.ok() ? "ok" : params.error().message;
  };
  EXPECT_EQ(error(R"("answers":"hunter2")"), "params.answers: expected an array, found a string");
  EXPECT_EQ(error(R"("answers":["hunter2",7])"), "params.answers[1]: expected a string, found a number");
  EXPECT_EQ(error(R"("answers":[["hunter2"]])"), "params.answers[0]: expected a string, found an array");
  EXPECT_NE(error(R"("answers":["hunter2"],"answers":["hunter2"])"), "ok");
  EXPECT_NE(error(R"("\u0061nswers":["hunter2"])"), "ok");
  EXPECT_EQ(error(R"("answers":["\q"])").find("not valid JSON"), 0U);
}

// --- buffers ---

TEST(WipedBuffer, IsFirstInFirstOut) {
  WipedBuffer buffer;
  std::string expected;
  std::size_t next = 0;
  for (int round = 0; round < 2000; ++round) {
    const std::string piece(static_cast<std::size_t>(round % 37), static_cast<char>('a' + round % 26));
    buffer.append(piece);
    expected += piece;
    const std::size_t drop = std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(round % 31));
    buffer.consume(drop);
    next += drop;
    ASSERT_EQ(buffer.view(), std::string_view(expected).substr(next));
  }
}

TEST(WipedBuffer, WhatWasConsumedIsGone) {
  WipedBuffer buffer;
  buffer.append("hunter2 and more");
  const char* memory = buffer.view().data();
  buffer.consume(8);
  EXPECT_EQ(std::string(memory, 16), std::string(8, '\0') + "and more");
  buffer.consume(8);
  EXPECT_EQ(std::string(memory, 16), std::string(16, '\0'));
}

TEST(WipedBuffer, MovesWithoutLeavingTheOldPlaceBehind) {
  WipedBuffer buffer;
  buffer.append(std::string(200, '-'));
  buffer.append("hunter2");
  const char* memory = buffer.view().data();
  buffer.consume(200);
  buffer.append(std::string(100, '+'));  // does not fit behind it
  ASSERT_EQ(buffer.view().data(), memory) << "the case is: moved to the front";
  EXPECT_EQ(std::string_view(memory, 256).find("hunter2", 7), std::string_view::npos);
  EXPECT_TRUE(buffer.view().starts_with("hunter2+"));
}

TEST(LineFramer, ALineIsWipedWhenTheNextOneIsAskedFor) {
  LineFramer framer;
  framer.feed(as_bytes("hunter2\nrest\n"));
  std::string_view line;
  ASSERT_EQ(framer.next(&line), LineFramer::Next::kLine);
  const char* memory = line.data();
  EXPECT_EQ(line, "hunter2");
  EXPECT_EQ(framer.buffered(), 5U);
  framer.drop_line();
  EXPECT_EQ(std::string(memory, 8), std::string(8, '\0'));
  ASSERT_EQ(framer.next(&line), LineFramer::Next::kLine);
  EXPECT_EQ(line, "rest");
}

}  // namespace
}  // namespace jump::proto
