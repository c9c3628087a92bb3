// DialSource: from which local address a TCP connection is made (ssh's BindAddress and BindInterface). An
// address per family at most; with none at all the system chooses.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "loop/socket_address.h"

namespace jump {

class DialSource {
 public:
  // `address`: a literal one, which wins; `interface`: its name. Both empty: the system's choice. Errors:
  // kInvalid (not an address), kUnreachable (no such interface, or it has no address).
  static Result<DialSource> find(const std::string& address, const std::string& interface);
  // What a name stands for: the first address of each family. None at all fits nothing.
  static DialSource of(const std::vector<SocketAddress>& addresses);

  // Whether a connection to that family can be made from here.
  bool fits(int family) const { return !chosen_ || of(family); }
  // Null: the system's choice, or the family does not fit.
  const SocketAddress* of(int family) const;

 private:
  bool chosen_ = false;
  std::optional<SocketAddress> v4_, v6_;
};

}  // namespace jump
