// KeyUnlock: opens one encrypted key file with a passphrase that it asks a person for, as ssh does: a few
// tries, none when the answer is empty.
//
//   start(): ask ─► decrypt (pool) ─► result()      a wrong passphrase: ask again
//
// `wake` comes from the loop whenever result() may be there, and must only schedule.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "auth/key_file.h"
#include "auth/person.h"
#include "stream/io.h"

namespace jump {

class KeyUnlock {
 public:
  // `io` and `person` outlive it. `expected`: the public half that it must have, if known.
  KeyUnlock(Io& io, Person& person, std::string path, std::optional<PublicKey> expected, int tries,
            std::function<void()> wake);
  ~KeyUnlock();
  KeyUnlock(const KeyUnlock&) = delete;
  KeyUnlock& operator=(const KeyUnlock&) = delete;

  void start() { ask(); }

  // Errors: kNeedsPerson, kCancelled, kAuth (no passphrase was given, or wrong ones), others of the file.
  std::optional<Result<PrivateKey>>& result() { return result_; }

 private:
  void ask();
  void on_passphrase(Result<std::vector<Secret>> answer);
  void on_decrypted(Result<PrivateKey> key);
  void finish(Result<PrivateKey> result);

  Io& io_;
  Person& person_;
  const std::string path_;
  const std::optional<PublicKey> expected_;
  const int tries_;
  const std::function<void()> wake_;
  int asked_ = 0;
  bool asking_ = false;
  std::unique_ptr<Operation> decrypting_;
  std::optional<Result<PrivateKey>> result_;
};

}  // namespace jump
