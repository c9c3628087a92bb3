// The method table: each method's name, tied to what it takes and what it gives. Server and client are both
// typed by it: `bind(method::kForwardOpen, handler)` there, `call(method::kForwardOpen, params)` here.
#pragma once

#include "proto/messages.h"

namespace jump::proto {

template <class P, class R>
struct Method {
  using Params = P;
  using Result = R;
  const char* name;
};

namespace method {
inline constexpr Method<HelloParams, HelloResult> kHello{"hello"};
inline constexpr Method<Empty, StatusResult> kStatus{"status"};
inline constexpr Method<HostConnectParams, HostConnectResult> kHostConnect{"host.connect"};
inline constexpr Method<HostDisconnectParams, Empty> kHostDisconnect{"host.disconnect"};
inline constexpr Method<ForwardOpenParams, ForwardOpenResult> kForwardOpen{"forward.open"};
inline constexpr Method<ForwardCloseParams, ForwardCloseResult> kForwardClose{"forward.close"};
inline constexpr Method<Empty, ForwardListResult> kForwardList{"forward.list"};
inline constexpr Method<Empty, Empty> kAgentShutdown{"agent.shutdown"};
}  // namespace method

}  // namespace jump::proto
