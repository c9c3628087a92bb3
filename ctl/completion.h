// What a shell offers for the word under the cursor. The scripts in contrib/completions ask the hidden verb
//   jumpctl complete WORD… CURRENT
// with the words of the command line so far, the program's name left out and the one to be completed last;
// they get a line for each candidate, "CANDIDATE" or "CANDIDATE\tWHAT IT IS". Completion is quick and quiet:
// no host is contacted, an agent that does not answer at once is left alone, and nothing is an error.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jump::ctl {

struct Candidate {
  std::string text;
  std::string about;  // may be empty
};

// What completion has to look up; each may be empty.
class CompletionSource {
 public:
  virtual ~CompletionSource() = default;
  virtual std::vector<Candidate> hosts() = 0;
  virtual std::vector<Candidate> connected_hosts() = 0;
  virtual std::vector<Candidate> forwards() = 0;
};

// Pure. `words` as above; those that begin with the current one, each once. Sorted, but for verbs and
// options.
std::vector<Candidate> candidates(std::span<const std::string> words, CompletionSource& source);

// The hidden verb; always kExitDone.
int complete(std::span<const std::string> words);

// The script for "bash", "zsh" or "fish", as contrib/completions has it; empty for any other.
std::string_view completion_script(std::string_view shell);

}  // namespace jump::ctl
