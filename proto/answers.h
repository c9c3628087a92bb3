// The one place of a request where secrets travel: the strings of "answers" (interaction.respond). They are
// cut out of a line before it is parsed and put into one after it is encoded, so that no JSON library ever
// has them: it would leave copies in memory that it gave back.
//
//   {"id":"i1","answers":["hunter2"]}  ── lift ─►  {"id":"i1","answers":[""]}  +  Secret("hunter2")
//
// Works on the text, whatever it means, so that what looks like an answer is out of the way even where the
// line turns out to be no request. A key "answers" therefore has this meaning in every method.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace jump::proto {

// Beyond it strings are cut out and dropped. More prompts than any server asks at once.
inline constexpr std::size_t kMaxAnswers = 64;

struct Lifted {
  std::string line;  // with "" in the place of every string; no JSON if one of them was none
  std::vector<Secret> answers;
};
// nullopt: there is no key "answers". Bytes that are not UTF-8 pass: a terminal in another encoding types
// such.
std::optional<Lifted> lift_answers(std::string_view line);

// `line` has an "answers":["",…] of answers.size() entries, as the encoder writes it.
Secret insert_answers(std::string_view line, std::span<const Secret> answers);

}  // namespace jump::proto
