// What a user types at the beginning of a line to talk to ssh itself.
#include "session/escape_filter.h"

#include <gtest/gtest.h>

#include <string>

namespace jump {
namespace {

using Command = EscapeFilter::Command;

// What reaches the remote side of `typed`, in pieces of that size; "<C>" stands for a command's key.
std::string filtered(std::string_view typed, std::size_t piece, std::uint8_t escape = '~') {
  EscapeFilter filter(escape);
  std::string out;
  while (!typed.empty()) {
    std::string_view part = typed.substr(0, piece);
    typed.remove_prefix(part.size());
    while (!part.empty()) {
      const EscapeFilter::Step step = filter.feed(as_bytes(part));
      out.append(step.keys.begin(), step.keys.end());
      if (step.command != Command::kNone) out += std::string("<") + static_cast<char>(step.key) + ">";
      part.remove_prefix(step.consumed);
    }
  }
  return out;
}

TEST(EscapeFilter, EscapesAreTakenOutAtTheBeginningOfALineOnly) {
  const struct {
    std::string typed, reaches;
  } cases[] = {
      {"~.", "<.>"},
      {"a~.", "a~."},
      {"a\r~.", "a\r<.>"},
      {"a\n~B~#~?", "a\n<B><#><?>"},  // after an escape it is still the beginning
      {"~~a~.", "~a~."},
      {"~~\r~~", "~\r~"},
      {"~x\r", "~x\r"},
      {"~\r~.", "~\r<.>"},
      {"~C~R~V~v~&~\x1a", "<C><R><V><v><&><\x1a>"},
      {"~b~r", "~b~r"},
      {"~", ""},
  };
  for (const auto& each : cases) {
    for (std::size_t piece = 1; piece <= each.typed.size(); ++piece)
      EXPECT_EQ(filtered(each.typed, piece), each.reaches) << each.typed << " by " << piece;
  }
  EXPECT_EQ(filtered("%.~.\r%?", 3, '%'), "<.>~.\r<?>");
  EXPECT_EQ(filtered("..\r.a", 9, '.'), ".\r.a")
      << "a command's key as the escape character: it is typed twice";
}

// "~?" tells of nothing that is not there, and of all that is.
TEST(EscapeFilter, TheHelpListsWhatThereIs) {
  EscapeFilter filter('~');
  const std::string help = filter.text(Command::kHelp, '?');
  for (int key = 1; key < 128; ++key) {
    EscapeFilter fresh('~');
    const std::string typed = {'~', static_cast<char>(key)};
    const Command command = fresh.feed(as_bytes(typed)).command;
    const bool listed = help.find(" " + typed + "   - ") != std::string::npos;
    const bool there = (command != Command::kNone && command != Command::kUnavailable) || key == '~';
    EXPECT_EQ(listed, there) << typed;
  }
  EXPECT_EQ(filter.text(Command::kUnavailable, 0x1a), "~^Z escape not available to multiplexed sessions\r\n");
  EXPECT_EQ(filter.text(Command::kBreak, 'B'), "~B\r\n");
}

}  // namespace
}  // namespace jump
