// OwnProxy: a ProxyCommand that is `jumpctl proxy`, which asks this agent for the connection. The agent must
// not run it for itself: the way is known, and with ProxyUseFdpass there is nobody whom a child could pass it
// to. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jump {

struct OwnProxy {
  std::string via;  // empty: the agent's routing table decides
  std::string host, port;
};

// The words of a command line of sh, where it is nothing but words, quoted or not; none where it is more: a
// pipe, a variable, a redirection.
std::optional<std::vector<std::string>> plain_shell_words(std::string_view command);

// `command` has its tokens expanded: "[exec] [/path/]jumpctl [OPTIONS] proxy [OPTIONS] HOST PORT". None: it
// is something else.
std::optional<OwnProxy> own_proxy(std::string_view command);

}  // namespace jump
