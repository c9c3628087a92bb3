#include "hop/hop_spec.h"

namespace jump {

std::string HopSpec::address() const {
  bool v6 = host.find(':') != std::string::npos;
  return user + "@" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string HopSpec::describe() const { return alias + " (" + address() + ")"; }

}  // namespace jump
