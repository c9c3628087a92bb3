// Userauth: the part of Transport that Login drives, as an interface, so that login order can be tested
// without a server. Same rules as in transport.h: one attempt at a time, its outcome is taken once.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "transport/transport.h"

namespace jump {

class Userauth {
 public:
  virtual ~Userauth() = default;
  virtual void start_none(const std::string& user) = 0;
  virtual void start_publickey(const std::string& user, ByteView public_key_blob) = 0;
  virtual std::optional<SignRequest> take_sign_request() = 0;
  virtual void provide_signature(Result<Bytes> signature) = 0;
  virtual std::optional<AuthOutcome> take_outcome() = 0;
};

// The real one. `transport` outlives it.
class TransportUserauth final : public Userauth {
 public:
  explicit TransportUserauth(Transport& transport) : transport_(transport) {}
  void start_none(const std::string& user) override { transport_.start_none(user); }
  void start_publickey(const std::string& user, ByteView blob) override {
    transport_.start_publickey(user, blob);
  }
  std::optional<SignRequest> take_sign_request() override { return transport_.take_sign_request(); }
  void provide_signature(Result<Bytes> signature) override {
    transport_.provide_signature(std::move(signature));
  }
  std::optional<AuthOutcome> take_outcome() override { return transport_.take_outcome(); }

 private:
  Transport& transport_;
};

}  // namespace jump
