// The scene of the tests of Interactions: clients that are scripts, and questions that note how they ended.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "control/interactions.h"
#include "support/sim_io.h"

namespace jump {

// What one client was told: "interaction i1", "interaction.ended i1 timeout", …
struct FakeClient {
  std::vector<std::string> told;
  nlohmann::json last;  // params

  Interactions::Notify notify() {
    return [this](const std::string& line) {
      EXPECT_TRUE(line.ends_with('\n'));
      const auto message = nlohmann::json::parse(line);
      last = message.at("params");
      std::string what = message.at("method").get<std::string>() + " " + last.at("id").get<std::string>();
      if (last.contains("reason")) what += " " + last["reason"].get<std::string>();
      told.push_back(what);
    };
  }
};
using Told = std::vector<std::string>;

// How a question ended: "answer,answer" or "kind: message"; empty while it is open.
struct Asked {
  std::unique_ptr<Operation> operation;
  std::shared_ptr<std::string> outcome = std::make_shared<std::string>();
  std::shared_ptr<int> calls = std::make_shared<int>(0);
};

inline std::string describe(const Result<std::vector<Secret>>& result) {
  if (!result) return std::string(errc_name(result.error().code)) + ": " + result.error().message;
  std::string all = "answers";
  for (const Secret& each : *result) all += ":" + std::string(each.text());
  return all;
}

inline std::vector<Secret> secrets(const std::vector<std::string>& texts) {
  std::vector<Secret> all;
  for (const std::string& each : texts) all.emplace_back(std::string_view(each));
  return all;
}

class InteractionsTest : public testing::Test {
 protected:
  static Question question(const std::string& host, std::size_t prompts = 1) {
    Question q;
    q.kind = Question::Kind::kPassword;
    q.host = host;
    q.hop = host + " (me@10.0.0.5:22)";
    for (std::size_t i = 0; i < prompts; ++i) q.prompts.push_back({"Password: ", false});
    return q;
  }
  Asked ask(Question q) {
    Asked asked;
    asked.operation = all.ask(
        std::move(q), [outcome = asked.outcome, calls = asked.calls](Result<std::vector<Secret>> result) {
          *outcome = describe(result);
          ++*calls;
        });
    EXPECT_EQ(*asked.calls, 0) << "answered from inside ask()";
    return asked;
  }
  Asked ask(const std::string& host) { return ask(question(host)); }
  // A client of that id which can answer.
  std::unique_ptr<Operation> join(Interactions::ClientId id, FakeClient& client,
                                  Interactions::Scope scope = Interactions::Scope::kOwnRequests) {
    return all.join(id, scope, client.notify());
  }
  std::string respond(Interactions::ClientId id, const std::string& what,
                      const std::vector<std::string>& answers) {
    return outcome(all.respond(id, what, secrets(answers)));
  }
  static std::string outcome(const Status& status) {
    return status ? "ok" : std::string(errc_name(status.error().code));
  }
  std::string claim(Interactions::ClientId id, const std::string& what) {
    auto claimed = all.claim(id, what);
    return claimed ? "ok" : std::string(errc_name(claimed.error().code));
  }

  test::SimIo io;
  Interactions all{io};
};

constexpr auto kAll = Interactions::Scope::kAll;

}  // namespace jump
