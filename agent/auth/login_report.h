// LoginReport: what a login tried, in its order, and what the server made of each: for whoever has to explain
// how it went. A value, without secrets; everything in it is printable.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace jump {

// One key or certificate that was to be offered, or all tries of another method.
struct LoginTry {
  enum class Outcome {
    kAccepted,
    kPartial,   // accepted, and the server wants more
    kRefused,   // by the server
    kUnusable,  // it could not be offered: see note
    kCutOff,    // the server hung up on it
  };
  std::string method;    // "publickey", "password", …
  std::string what;      // publickey: "~/.ssh/id_rsa SHA256:…", "SHA256:… me@laptop (agent)"
  std::string key_file;  // publickey: the path of the file that signs; empty: the agent signs
  Outcome outcome = Outcome::kRefused;
  std::string note;  // why, where there is more to say; how often
};

struct LoginReport {
  std::vector<LoginTry> tries;
  std::vector<std::string> methods;  // that can continue, as the server last said
  std::vector<std::string> missed;   // what nobody was there to give: "the password of deploy@prod"
  std::string certificate_problem;   // "~/c-cert.pub: expired …"; empty: none is known
  std::size_t keys_left = 0;         // keys that could have been offered yet
  bool accepted = false;             // the server let us in
};

}  // namespace jump
