// Text of a server, made fit to be shown to a person: what a prompt, an instruction or a banner may hold.
// Unlike printable() it keeps lines and other scripts than Latin, as the text is to be read (a code drawn in
// blocks, a prompt in the user's language), and drops what could pretend to be something else.
#pragma once

#include <string>
#include <string_view>

namespace jump {

// Several lines: valid UTF-8 without control characters but '\n', and without those that turn the direction
// of writing, hide, or change what stands before them. Tabs become spaces, what is no UTF-8 becomes '?'. At
// most about `limit` bytes, and "..." where it was cut.
std::string readable_text(std::string_view text, std::size_t limit);

// One line: the same, line ends being spaces.
std::string readable_line(std::string_view text, std::size_t limit);

}  // namespace jump
