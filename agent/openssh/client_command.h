// What a client of our control socket is after, by its command line. The protocol does not say, when it asks
// whether the master is alive, what it is going to ask next. Pure.
#pragma once

#include <string_view>

namespace jump {

// True: an `ssh` that asks for a session when it has heard that the master is alive, and logs in by itself if
// that is refused. Not one of -O (its answer is the end) or -W (a refusal would be its end as well), and
// nothing that is not known for an `ssh`. `arguments` are as /proc/PID/cmdline has them, each with a zero
// byte behind it.
bool wants_session(std::string_view arguments);

}  // namespace jump
