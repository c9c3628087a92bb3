// The old agent's side of an upgrade, on a clock of the test's: a new agent that asks and then hangs.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/server.h"
#include "handover.h"
#include "session/sessions.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

using nlohmann::json;

class HandoverSim : public testing::Test {
 protected:
  HandoverSim() {
    handover.bind(dispatcher);
    EXPECT_TRUE(server.listen("/control"));
  }
  ~HandoverSim() override { io.settle(); }

  // A new agent, as the old one sees it.
  struct Heir {
    std::unique_ptr<ByteStream> stream;
    std::unique_ptr<Collector> got;
    int asked = 0;
  };
  Heir heir() {
    Heir made;
    made.stream = io.connect("/control");
    made.got = std::make_unique<Collector>(*made.stream);
    io.settle();
    return made;
  }
  json call(Heir& heir, const char* method, const json& params = json::object()) {
    const std::string line =
        json{{"jsonrpc", "2.0"}, {"id", ++heir.asked}, {"method", method}, {"params", params}}.dump() + "\n";
    EXPECT_EQ(heir.stream->write(as_bytes(line)), line.size());
    io.settle();
    const std::size_t from = heir.got->received.rfind("{\"jsonrpc\"");
    return from == std::string::npos ? json() : json::parse(heir.got->received.substr(from));
  }
  // There is no descriptor in this world that could be passed: the claim stands all the same.
  void claim(Heir& heir) {
    EXPECT_TRUE(call(heir, "agent.handover", {{"socket", "/nowhere"}}).contains("error"));
    EXPECT_TRUE(handover.under_way());
  }
  std::string refusal(Heir& heir, const char* method, const json& params = json::object()) {
    const json answer = call(heir, method, params);
    return answer.contains("error") ? answer.at("error").at("message").get<std::string>() : answer.dump();
  }

  SimIo io;
  Status may;
  int retired = 0;
  Hosts hosts{io, ""};
  Forwards forwards{io, hosts, ForwardLimits{}};
  Sessions sessions;
  MuxServer mux{{io, hosts, forwards, sessions, [] { return seconds(1); }, [] { return seconds(1); },
                 [] { return Status(); }, [] { return Status(); }},
                "/mux"};
  Dispatcher dispatcher;
  ControlServer server{io, dispatcher};
  Handover handover{io,
                    hosts,
                    forwards,
                    server,
                    mux,
                    [this] { return may; },
                    [this] {
                      ++retired;
                      return std::uint64_t{7};
                    }};
};

TEST_F(HandoverSim, AnHeirThatHangsIsGivenUpAndRefusedWhenItComesBack) {
  Heir hanging = heir();
  claim(hanging);
  io.advance(Handover::kMost - milliseconds(1));
  EXPECT_TRUE(handover.under_way());
  io.advance(milliseconds(1));
  EXPECT_FALSE(handover.under_way());
  EXPECT_EQ(refusal(hanging, "agent.retire"), "the handover has taken longer than 20 s and was given up");
  EXPECT_EQ(retired, 0);
}

TEST_F(HandoverSim, AfterOneThatWasGivenUpTheNextOneCanTakeOver) {
  Heir hanging = heir();
  claim(hanging);
  io.advance(Handover::kMost);
  Heir next = heir();
  claim(next);
  hanging = Heir{};  // its end is not the next one's
  io.settle();
  EXPECT_TRUE(handover.under_way());
  EXPECT_EQ(call(next, "agent.retire").at("result").at("connections"), 7);
  EXPECT_EQ(retired, 1);
}

TEST_F(HandoverSim, AnAgentThatEndsIsNeitherHandedOverNorRetired) {
  Heir early = heir();
  claim(early);
  may = Error{Errc::kClosed, "the agent is ending", "when it has ended: jumpagent up"};
  const json answer = call(early, "agent.retire");
  EXPECT_EQ(answer.at("error").at("message"), "the agent is ending");
  EXPECT_EQ(answer.at("error").at("data").at("kind"), "refused");
  early = Heir{};
  io.settle();
  Heir late = heir();
  EXPECT_EQ(refusal(late, "agent.handover", {{"socket", "/nowhere"}}), "the agent is ending");
  EXPECT_FALSE(handover.under_way());
  EXPECT_EQ(retired, 0);
}

}  // namespace
}  // namespace jump::test
