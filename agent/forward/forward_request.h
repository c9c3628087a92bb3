// What is asked for when a forward is wanted, by a client, by the config file or by the state file. A value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "proto/spec.h"
#include "stream/io.h"

namespace jump {

using proto::ForwardKind;

struct ForwardRequest {
  ForwardKind kind = ForwardKind::kLocal;
  Endpoint listen;                 // here, or on the server for the remote kinds
  std::optional<Endpoint> target;  // there, or here for the remote kinds; none: each client names its own
  std::string spec;                // what the user wrote, in canonical form
  std::string via;                 // the host that carries it
  std::string via_rule;            // how `via` was chosen, for a person; empty: the request named it
  std::string name;                // optional; unique
  std::size_t prewarm = 0;         // spare channels to the target; local forwards only
  Duration timeout = seconds(60);  // for the login that it may take

  // kind, listen, target and spec of what `ssh -L`, -R or -D takes. A port is a number: names of services are
  // the asker's to look up, as the system's databases may take their time. Errors: kInvalid; also for a range
  // of ports, which is several forwards.
  static Result<ForwardRequest> parse(ForwardKind kind, std::string_view spec);
  // The same, where a range of ports is welcome; never empty.
  static Result<std::vector<ForwardRequest>> parse_all(ForwardKind kind, std::string_view spec);

  // Whether the port, or the socket's name, is taken on the server.
  bool listens_there() const { return kind == ForwardKind::kRemote || kind == ForwardKind::kRemoteDynamic; }
  // What the host is to reach; none: it only listens, or each client says so.
  std::optional<Endpoint> far_target() const { return listens_there() ? std::nullopt : target; }
  // The system, or the server, is to choose the port.
  bool any_port() const { return !listen.is_unix() && listen.port == 0; }
  // The same forward is wanted; who chose the host how, and how long to wait for it, is no part of that.
  bool same_wish(const ForwardRequest& other) const;
};

// A name must not be taken for an id, and has to fit a table's column. Empty: none. Errors: kInvalid.
Status check_forward_name(const std::string& name);

}  // namespace jump
