// Prompter: the way to a person. Whoever logs in asks here; who answers (a terminal behind the control
// socket, an IDE, SSH_ASKPASS) is none of its business.
//
//   login, host-key check ── ask(Question) ─► Prompter ─► a client that claims it ─► answers ─► done()
//
// Who is asked can change while a question is open: others come to wait for the same login, or for one behind
// it. So a question carries no fixed addressee but a way to tell who waits (Question::waited_for), and
// whoever changes that says so (who_waits_changed).
//
// Invariants: every ask() is answered once, with an answer to each prompt or with an error, unless its
// Operation is destroyed first; the question then goes away at the client too. Answers are Secrets: never
// logged, never in an event.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "stream/io.h"

namespace jump {

struct Prompt {
  std::string text;   // as ssh shows it: "deploy@10.0.0.5's password: "
  bool echo = false;  // whether what is typed may be seen
};

// All text is printable already; `text` may have several lines.
struct Question {
  enum class Kind {
    kHostKey,              // one prompt; the answer is "yes", "no" or the fingerprint
    kPassphrase,           // of a key file
    kPassword,             // RFC 4252 section 8
    kKeyboardInteractive,  // RFC 4256: any number of prompts
    kConfirm,              // "yes" or "no"
    kNotice,  // no prompts: something to see or to do ("touch the security key"); shown until it is withdrawn
  };
  static constexpr Duration kDefaultTimeout = seconds(120);

  Kind kind = Kind::kNotice;
  std::string host;   // the name of the host that is logged in to, as the user gave it
  std::string hop;    // who wants to know: "prod (deploy@10.0.0.5:22)"
  std::string title;  // one line, may be empty (keyboard-interactive: the server's "name")
  std::string text;   // what to read first, may be empty (keyboard-interactive: the "instruction")
  std::vector<Prompt> prompts;
  Duration timeout = kDefaultTimeout;  // from the moment somebody is asked; a notice has none
  // The names of all hosts that wait for the answer: whoever waits for one of them is asked. It is called
  // again and again while the question is open. Empty: `host` is the only one.
  std::function<std::vector<std::string>()> waited_for;
  // The login has succeeded already: who waited for it until a moment ago is asked, too.
  bool after_login = false;
};

// How the message of kNeedsPerson begins where there was nobody to be asked; where somebody was and did not
// answer, it says so.
inline constexpr std::string_view kNobodyIsThere = "nobody is there";

class Prompter {
 public:
  virtual ~Prompter() = default;

  // Answers: one Secret per prompt, in order. Errors: kNeedsPerson (nobody is there to ask, or nobody
  // answered in time), kCancelled (the person declined, or went away).
  using Answered = std::function<void(Result<std::vector<Secret>>)>;
  virtual std::unique_ptr<Operation> ask(Question question, Answered done) = 0;

  // Something to read that wants no answer, as a server's banner: the notice's `text`, said once to those
  // whom a question of that host would be put to.
  virtual void show(Question notice) { (void)notice; }

  // Some `waited_for` may say something else now.
  virtual void who_waits_changed() {}
};

}  // namespace jump
