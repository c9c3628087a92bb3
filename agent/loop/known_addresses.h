// KnownAddresses: where names led the last time that a connection came about. A resolver that does not answer
// (its question was lost on a path that was cut; glibc repeats it after five seconds) then holds up nobody:
// the address that was right is tried meanwhile, and whoever answers there has to show the host key all the
// same.
//
// Invariant: at most kMaxNames; the one that was used longest ago goes first.
#pragma once

#include <algorithm>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "loop/socket_address.h"

namespace jump {

class KnownAddresses {
 public:
  // Hosts that somebody connects to; an entry has some 200 bytes.
  static constexpr std::size_t kMaxNames = 256;

  void learn(const std::string& name, const SocketAddress& address) {
    forget(name);
    if (entries_.size() >= kMaxNames) entries_.pop_back();
    entries_.emplace_front(name, address);
  }
  std::optional<SocketAddress> find(const std::string& name) const {
    const auto found = place(name);
    return found == entries_.end() ? std::nullopt : std::optional(found->second);
  }
  // The resolver says that there is none of that name.
  void forget(const std::string& name) {
    if (const auto found = place(name); found != entries_.end()) entries_.erase(found);
  }

 private:
  using Entries = std::list<std::pair<std::string, SocketAddress>>;
  Entries::const_iterator place(const std::string& name) const {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const auto& each) { return each.first == name; });
  }

  Entries entries_;
};

}  // namespace jump
