#include "auth/signing.h"

#include <fmt/core.h>

#include "auth/fingerprint.h"
#include "auth/prompt_text.h"
#include "base/log.h"

namespace jump {
namespace {

constexpr std::size_t kMaxNameShown = 200;

}  // namespace

Signing::Signing(Io& io, Person& person, Identities& identities, const Candidate& candidate,
                 SignRequest request, int tries, std::function<void()> wake)
    : io_(io),
      person_(person),
      identities_(identities),
      candidate_(candidate),
      request_(std::move(request)),
      tries_(tries),
      wake_(std::move(wake)) {
  slow_timer_ = io_.timer([this] { on_slow(); });
}

Signing::~Signing() { person_.withdraw_notice(); }

void Signing::start() {
  log::debug("signing with {} ({})", fingerprint(candidate_.blob), request_.algorithm);
  if (candidate_.signs_in_agent) return sign_in_agent();
  if (file().private_key) return sign_in_pool();
  unlock_ = std::make_unique<KeyUnlock>(io_, person_, file().path, file().public_key, tries_, wake_);
  unlock_->start();
}

void Signing::step() {
  if (!unlock_ || !unlock_->result()) return;
  Result<PrivateKey> key = std::move(*unlock_->result());
  unlock_.reset();
  if (!key) {
    result_ = std::move(key).error();
    return;
  }
  file().private_key = std::move(key).value();
  sign_in_pool();
}

void Signing::sign_in_agent() {
  // A security key's: somebody touches it, however fast.
  if (request_.algorithm.starts_with("sk-")) person_.note_part();
  slow_timer_->start(kPersonDelay);
  identities_.agent()->sign(candidate_.agent_blob, request_.algorithm, request_.data,
                            [this](Result<Bytes> signature) { finish(std::move(signature)); });
}

void Signing::on_slow() {
  person_.notice(
      fmt::format("The ssh-agent has not signed yet: confirm it, or touch the security key, for {} {}",
                  fingerprint(candidate_.blob), readable_line(candidate_.name, kMaxNameShown)));
}

void Signing::sign_in_pool() {
  auto result = std::make_shared<std::optional<Result<Bytes>>>();
  auto work = [files = identities_.files(), index = candidate_.file, request = request_, result] {
    *result = files->keys[index].private_key->sign(request.algorithm, request.data);
  };
  signing_ = io_.in_pool(std::move(work), [this, result] { finish(std::move(**result)); });
}

void Signing::finish(Result<Bytes> signature) {
  slow_timer_->stop();
  person_.withdraw_notice();
  result_ = std::move(signature);
  wake_();
}

}  // namespace jump
