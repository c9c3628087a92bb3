#include "auth/agent_client.h"

#include <gtest/gtest.h>

#include "auth_fakes.h"

namespace jump {
namespace {

using namespace auth_test;

class AgentClientTest : public ::testing::Test {
 protected:
  void list() {
    client->list([this](auto answer) {
      lists.push_back(answer.ok() ? std::to_string(answer->size())
                                  : std::string(errc_name(answer.error().code)));
    });
  }
  void sign(std::string_view data) {
    client->sign(Bytes{1, 2, 3}, "ssh-ed25519", as_bytes(data), [this](auto answer) {
      signatures.push_back(answer.ok() ? "ok" : std::string(errc_name(answer.error().code)));
    });
  }
  AgentConnection& agent() { return *io.connections.back(); }
  // The requests that the agent has got in full, by type.
  std::vector<int> requests() {
    std::vector<int> types;
    WireReader in(agent().written);
    while (in.left() > 0) {
      ByteView message = in.string();
      if (!message.empty()) types.push_back(message[0]);
    }
    return types;
  }

  FakeIo io;
  std::unique_ptr<AgentClient> client = std::make_unique<AgentClient>(io, "/run/agent.sock");
  std::vector<std::string> lists, signatures;
};

TEST_F(AgentClientTest, DialsAtTheFirstRequestOnly) {
  io.turn();
  EXPECT_TRUE(io.dialed.empty());
  list();
  EXPECT_TRUE(io.dialed.empty());  // not from inside the call
  io.turn();
  EXPECT_EQ(io.dialed, std::vector<std::string>{"/run/agent.sock"});
  EXPECT_EQ(requests(), std::vector<int>{11});
  agent().send(identities_frame({{1}, {2}}));
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"2"});
}

TEST_F(AgentClientTest, OneRequestAtATimeTheOthersQueue) {
  list();
  sign("a");
  sign("b");
  io.turn();
  EXPECT_EQ(requests(), std::vector<int>{11});
  agent().send(identities_frame({}));
  io.turn();
  EXPECT_EQ(requests(), (std::vector<int>{11, 13}));
  agent().send(signature_frame("ssh-ed25519", "s"));
  io.turn();
  agent().send(failure_frame());
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"0"});
  EXPECT_EQ(signatures, (std::vector<std::string>{"ok", "refused"}));
  EXPECT_EQ(io.connections.size(), 1u);
}

TEST_F(AgentClientTest, AnswerMayComeInPieces) {
  list();
  io.turn();
  for (std::uint8_t byte : identities_frame({{1}})) agent().send({byte});
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"1"});
}

TEST_F(AgentClientTest, RequestMayLeaveInPieces) {
  io.first_room = 3;
  list();
  io.turn();
  EXPECT_EQ(agent().written.size(), 3u);
  agent().make_room();
  io.turn();
  EXPECT_EQ(requests(), std::vector<int>{11});
}

TEST_F(AgentClientTest, ListHasATimeLimitAndSigningHasNone) {
  list();
  io.turn();
  agent().send(identities_frame({}));
  io.turn();
  sign("touch me");
  io.turn();
  io.pass(std::chrono::hours(1));
  EXPECT_TRUE(signatures.empty());
  agent().send(signature_frame("ssh-ed25519", "s"));
  io.turn();
  EXPECT_EQ(signatures, std::vector<std::string>{"ok"});

  list();
  io.turn();
  io.pass(AgentClient::kListTimeout);
  EXPECT_EQ(lists, (std::vector<std::string>{"0", "timeout"}));
  EXPECT_FALSE(agent().open);  // its late answer must not be taken for another's
}

TEST_F(AgentClientTest, NoAgentFailsAllThatWaits) {
  io.dial_error = Error{Errc::kUnreachable, "connection refused", ""};
  list();
  sign("a");
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"unreachable"});
  EXPECT_EQ(signatures, std::vector<std::string>{"unreachable"});
}

TEST_F(AgentClientTest, AgentThatGoesAwayFailsTheRequest) {
  sign("a");
  io.turn();
  agent().hang_up();
  io.turn();
  EXPECT_EQ(signatures, std::vector<std::string>{"closed"});
}

TEST_F(AgentClientTest, AgentThatHangsUpOnEveryConnectionFailsTheRequestAndIsLeftAlone) {
  io.hangs_up_at_once = true;
  sign("a");
  io.turn();
  EXPECT_EQ(signatures, std::vector<std::string>{"closed"});
  EXPECT_EQ(io.dialed.size(), 1u);
}

TEST_F(AgentClientTest, IdleHangUpIsDialedAgainAtTheNextRequest) {
  list();
  io.turn();
  agent().send(identities_frame({}));
  io.turn();
  agent().hang_up();
  io.turn();
  list();
  io.turn();
  ASSERT_EQ(io.connections.size(), 2u);
  agent().send(identities_frame({{1}}));
  io.turn();
  EXPECT_EQ(lists, (std::vector<std::string>{"0", "1"}));
}

TEST_F(AgentClientTest, NonsenseEndsTheConnection) {
  list();
  io.turn();
  agent().send(Bytes(8, 0xff));
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"protocol"});
  EXPECT_FALSE(agent().open);
}

TEST_F(AgentClientTest, AnswerNobodyAskedForEndsTheConnection) {
  list();
  io.turn();
  Bytes twice = identities_frame({});
  Bytes again = identities_frame({{1}});
  twice.insert(twice.end(), again.begin(), again.end());
  agent().send(twice);
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"0"});
  EXPECT_FALSE(agent().open);
}

TEST_F(AgentClientTest, DestroyingItCancelsEverything) {
  sign("a");
  sign("b");
  io.turn();
  agent().send(signature_frame("ssh-ed25519", "s"));
  client.reset();
  io.turn();
  EXPECT_TRUE(signatures.empty());
  EXPECT_FALSE(agent().open);
}

TEST_F(AgentClientTest, DoneMayAskAgain) {
  client->list([this](auto) { list(); });
  io.turn();
  agent().send(identities_frame({}));
  io.turn();
  agent().send(identities_frame({{1}}));
  io.turn();
  EXPECT_EQ(lists, std::vector<std::string>{"1"});
}

}  // namespace
}  // namespace jump
