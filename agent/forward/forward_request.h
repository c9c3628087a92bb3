// What is asked for when a forward is wanted, by a client or by the config file. A value.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "stream/io.h"

namespace jump {

struct ForwardRequest {
  Endpoint listen;
  Endpoint target;
  std::string spec;                // what the user wrote, in canonical form
  std::string via;                 // the host that carries it
  std::string via_rule;            // how `via` was chosen, for a person; empty: the request named it
  std::string name;                // optional; unique
  std::size_t prewarm = 0;         // spare channels to the target
  Duration timeout = seconds(60);  // for the login that it may take

  // listen, target and spec of what `ssh -L` takes. A port is a number: names of services are the asker's to
  // look up, as the system's databases may take their time. Errors: kInvalid.
  static Result<ForwardRequest> parse(std::string_view spec);
  // The same forward is wanted; who chose the host how, and how long to wait for it, is no part of that.
  bool same_wish(const ForwardRequest& other) const;
};

// A name must not be taken for an id, and has to fit a table's column. Empty: none. Errors: kInvalid.
Status check_forward_name(const std::string& name);

}  // namespace jump
