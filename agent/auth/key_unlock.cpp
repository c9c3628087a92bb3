#include "auth/key_unlock.h"

#include <utility>

#include "auth/prompt_text.h"

namespace jump {
namespace {

constexpr std::size_t kMaxPathShown = 1024;

}  // namespace

KeyUnlock::KeyUnlock(Io& io, Person& person, std::string path, std::optional<PublicKey> expected, int tries,
                     std::function<void()> wake)
    : io_(io),
      person_(person),
      path_(std::move(path)),
      expected_(std::move(expected)),
      tries_(tries),
      wake_(std::move(wake)) {}

KeyUnlock::~KeyUnlock() {
  if (asking_) person_.withdraw_question();
}

void KeyUnlock::ask() {
  const std::string path = readable_line(path_, kMaxPathShown);
  Question question;
  question.kind = Question::Kind::kPassphrase;
  if (asked_ > 0) question.text = "Bad passphrase, please try again.";
  question.prompts.push_back({"Enter passphrase for key '" + path + "': ", false});
  ++asked_;
  asking_ = true;
  person_.ask(std::move(question), "the passphrase of " + display_path(path),
              [this](Result<std::vector<Secret>> answer) { on_passphrase(std::move(answer)); });
}

void KeyUnlock::on_passphrase(Result<std::vector<Secret>> answer) {
  asking_ = false;
  if (!answer) return finish(std::move(answer).error());
  if (answer->front().empty()) return finish(Error{Errc::kAuth, "no passphrase was given", ""});
  // Shared, because a function that is copied must not copy a secret.
  auto passphrase = std::make_shared<Secret>(std::move(answer->front()));
  auto key = std::make_shared<std::optional<Result<PrivateKey>>>();
  decrypting_ = io_.in_pool(
      [path = path_, passphrase, key] {
        *key = unlock_key_file(path, *passphrase);
        passphrase->wipe();
      },
      [this, key] { on_decrypted(std::move(**key)); });
}

void KeyUnlock::on_decrypted(Result<PrivateKey> key) {
  if (key.ok() && expected_ && key->public_key().blob != expected_->blob) {
    return finish(Error{Errc::kInvalid, "its public half in the file beside it is of another key", ""});
  }
  const bool wrong = !key && key.error().code == Errc::kAuth;
  wrong&& asked_ < tries_ ? ask() : finish(std::move(key));
}

void KeyUnlock::finish(Result<PrivateKey> result) {
  result_ = std::move(result);
  wake_();
}

}  // namespace jump
