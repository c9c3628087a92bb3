// jumpctl ssh-config
#include "ctl/verb.h"
namespace jump::ctl {
int print_ssh_config(const Options&) { return kExitFailed; }
}  // namespace jump::ctl
