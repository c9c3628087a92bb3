// What the programs print, and where it may fail: a full disk, a closed pipe, a caller that closed stdout. Failures are
// not thrown; they stay in the stream, and finish_output() (verb.h) makes them an exit code.
#pragma once

#include <string_view>

namespace jump::ctl {

void write_out(std::string_view text);
void write_err(std::string_view text);

// First thing in main(): a caller may have closed stdin, stdout or stderr, and what is opened next (a socket!) must not
// become one of them. Writing to a replaced one fails, as it would have.
void occupy_standard_descriptors();

}  // namespace jump::ctl
