// A Login with everything around it played by the test: the server's side of user authentication, the person,
// the agent and the loop (auth_fakes.h); key files are real ones, made once.
#pragma once

#include <gtest/gtest.h>

#include "auth/login.h"
#include "auth_fakes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace jump::auth_test {

using Strings = std::vector<std::string>;
using Kind = AuthOutcome::Kind;

// A server that knows nothing by itself: the test plays it.
class FakeUserauth final : public Userauth {
 public:
  void start_none(const std::string& user) override { log.push_back("none " + user); }
  void start_publickey(const std::string&, ByteView blob) override {
    EXPECT_FALSE(busy) << "a second attempt was begun";
    busy = true;
    offered.push_back(to_bytes(blob));
  }
  void set_rsa_algorithms(std::string_view names) override { log.push_back("rsa " + std::string(names)); }
  void start_password(const std::string&, Secret password) override {
    EXPECT_FALSE(busy) << "a second attempt was begun";
    busy = true;
    log.push_back("password " + std::string(password.text()));
  }
  void start_keyboard_interactive(const std::string&) override {
    EXPECT_FALSE(busy) << "a second attempt was begun";
    busy = true;
    log.push_back("keyboard-interactive");
  }
  std::optional<AuthQuestion> take_question() override { return std::exchange(question, std::nullopt); }
  void provide_answers(Result<std::vector<Secret>> answers) override {
    std::string line = answers ? "answers" : "no answer: " + answers.error().message;
    if (answers) {
      for (const Secret& secret : *answers) line += " '" + std::string(secret.text()) + "'";
    }
    log.push_back(line);
    if (answers) return;
    answer(Kind::kFailure, {});  // as Transport does: the server is not told
    outcome->note = answers.error().message;
  }
  std::string take_banner() override { return std::exchange(banner, {}); }
  std::optional<SignRequest> take_sign_request() override {
    return std::exchange(sign_request, std::nullopt);
  }
  void provide_signature(Result<Bytes> signature) override {
    signatures.push_back(signature.ok() ? to_bytes(*signature) : Bytes{});
    if (!signature) answer(Kind::kFailure, {});  // as Transport does: the server is not told
  }
  std::optional<AuthOutcome> take_outcome() override {
    if (outcome) busy = false;
    return std::exchange(outcome, std::nullopt);
  }

  void answer(Kind kind, Strings can_continue, bool accepted = false) {
    outcome.emplace();
    outcome->kind = kind;
    outcome->can_continue = std::move(can_continue);
    outcome->key_was_accepted = accepted;
  }

  Strings log;
  std::vector<Bytes> offered, signatures;
  bool busy = false;
  std::optional<SignRequest> sign_request;
  std::optional<AuthQuestion> question;
  std::string banner;
  std::optional<AuthOutcome> outcome;
};

inline Bytes ed25519_blob(std::uint8_t seed) {
  return WireWriter().string("ssh-ed25519").string(Bytes(32, seed)).take();
}

class LoginTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    keys = std::make_unique<test::TempDir>();
    for (const char* name : {"one", "two", "three"}) {
      make_key(keys->file(name), "");
    }
    make_key(keys->file("locked"), "passphrase");
  }
  static void TearDownTestSuite() { keys.reset(); }
  static void make_key(const std::string& path, const std::string& passphrase) {
    auto made =
        test::run_process({"ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path}, seconds(60));
    ASSERT_TRUE(made.ok()) << made.describe();
  }
  static std::string path(const std::string& name) { return keys->file(name); }
  static Bytes blob(const std::string& name) {
    auto key = parse_public_key_file(test::read_file(path(name) + ".pub"));
    return key.ok() ? key->blob : Bytes{};
  }

  void start(Strings files, bool with_agent, std::vector<Bytes> agent_keys = {},
             bool identities_only = false) {
    spec.identity_files = std::move(files);
    spec.identities_only = identities_only;
    spec.identity_agent = with_agent ? "/run/agent.sock" : "";
    login = std::make_unique<Login>(
        io, server, spec, [this] { ++wakes; }, attended ? &prompter : nullptr);
    login->start();
    turn();
    if (!with_agent || io.connections.empty()) return;
    io.connections.back()->send(identities_frame(agent_keys));
    turn();
  }
  static LoginSpec spec_of_deploy() {
    LoginSpec spec;
    spec.user = "deploy";
    spec.host = "10.0.0.5";
    spec.alias = "prod";
    spec.hop = "prod (deploy@10.0.0.5:22)";
    return spec;
  }
  // Loop and owner until nothing changes.
  void turn() {
    for (int i = 0; i < 6; ++i) {
      io.turn();
      login->advance();
    }
  }
  void answer(Kind kind, Strings can_continue, bool accepted = false) {
    server.answer(kind, std::move(can_continue), accepted);
    turn();
  }
  // Refuses every key that is offered; returns them in order.
  std::vector<Bytes> refuse_all() {
    for (int i = 0; i < 20 && !login->outcome(); ++i) answer(Kind::kFailure, {"publickey"});
    return server.offered;
  }
  std::string failure(Errc code = Errc::kAuth) {
    if (!login->outcome() || login->outcome()->ok()) return "no failure";
    EXPECT_EQ(login->outcome()->error().code, code);
    return login->outcome()->error().message;
  }
  const std::string& hint() const { return login->outcome()->error().hint; }
  bool logged_in() const { return login->outcome() && login->outcome()->ok(); }

  // --- a person who answers ---
  void ask(const std::vector<AuthQuestion::Prompt>& prompts, std::string name = "",
           std::string instruction = "") {
    server.question.emplace();
    server.question->name = std::move(name);
    server.question->instruction = std::move(instruction);
    server.question->prompts = prompts;
    turn();
  }
  void reply(const Strings& answers) {
    prompter.reply(answers);
    turn();
  }
  void reply(Errc code) {
    prompter.reply(code);
    turn();
  }

  static inline std::unique_ptr<test::TempDir> keys;
  FakeIo io;
  FakePrompter prompter{io};
  FakeUserauth server;
  bool attended = false;  // there is a prompter
  LoginSpec spec = spec_of_deploy();
  std::unique_ptr<Login> login;
  int wakes = 0;
};

}  // namespace jump::auth_test
