// Userauth: the part of Transport that Login drives, as an interface, so that login order can be tested
// without a server. Same rules as in transport.h: one attempt at a time, its outcome is taken once.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/transport.h"

namespace jump {

class Userauth {
 public:
  virtual ~Userauth() = default;
  virtual void start_none(const std::string& user) = 0;
  virtual void start_publickey(const std::string& user, ByteView public_key_blob) = 0;
  virtual void set_rsa_algorithms(std::string_view names) = 0;
  virtual std::optional<SignRequest> take_sign_request() = 0;
  virtual void provide_signature(Result<Bytes> signature) = 0;
  virtual void start_password(const std::string& user, Secret password) = 0;
  virtual void start_keyboard_interactive(const std::string& user) = 0;
  virtual std::optional<AuthQuestion> take_question() = 0;
  virtual void provide_answers(Result<std::vector<Secret>> answers) = 0;
  virtual std::optional<AuthOutcome> take_outcome() = 0;
  virtual std::string take_banner() = 0;
};

// The real one. `transport` outlives it.
class TransportUserauth final : public Userauth {
 public:
  explicit TransportUserauth(Transport& transport) : transport_(transport) {}
  void start_none(const std::string& user) override { transport_.start_none(user); }
  void start_publickey(const std::string& user, ByteView blob) override {
    transport_.start_publickey(user, blob);
  }
  void set_rsa_algorithms(std::string_view names) override { transport_.set_rsa_algorithms(names); }
  std::optional<SignRequest> take_sign_request() override { return transport_.take_sign_request(); }
  void provide_signature(Result<Bytes> signature) override {
    transport_.provide_signature(std::move(signature));
  }
  void start_password(const std::string& user, Secret password) override {
    transport_.start_password(user, std::move(password));
  }
  void start_keyboard_interactive(const std::string& user) override {
    transport_.start_keyboard_interactive(user);
  }
  std::optional<AuthQuestion> take_question() override { return transport_.take_question(); }
  void provide_answers(Result<std::vector<Secret>> answers) override {
    transport_.provide_answers(std::move(answers));
  }
  std::optional<AuthOutcome> take_outcome() override { return transport_.take_outcome(); }
  std::string take_banner() override { return transport_.take_userauth_banner(); }

 private:
  Transport& transport_;
};

}  // namespace jump
