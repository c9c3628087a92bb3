// Ctrl-C and its like, as something to wait for: for verbs that go on until somebody says that it is enough.
#pragma once

namespace jump::ctl {

// SIGINT, SIGTERM and SIGHUP no longer end the program: the descriptor that is returned can be read once one
// has come. One that is ignored (nohup, a script's background) stays so. -1, and errno, where there can be
// none.
int watch_end_signals();
// One has come.
bool end_signalled();

}  // namespace jump::ctl
