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
inline constexpr Method<HostDiagnoseParams, DiagnosisReport> kHostDiagnose{"host.diagnose"};
inline constexpr Method<ForwardOpenParams, ForwardOpenResult> kForwardOpen{"forward.open"};
inline constexpr Method<ForwardCloseParams, ForwardCloseResult> kForwardClose{"forward.close"};
inline constexpr Method<Empty, ForwardListResult> kForwardList{"forward.list"};
inline constexpr Method<HostOptionsParams, HostOptionsResult> kHostOptions{"host.options"};
inline constexpr Method<HostWayParams, HostWayResult> kHostWay{"host.way"};
inline constexpr Method<Empty, RouteListResult> kRouteList{"route.list"};
inline constexpr Method<SessionOpenParams, SessionOpenResult> kSessionOpen{"session.open"};
inline constexpr Method<SessionResizeParams, Empty> kSessionResize{"session.resize"};
inline constexpr Method<SessionSignalParams, Empty> kSessionSignal{"session.signal"};
inline constexpr Method<StreamOpenParams, StreamOpenResult> kStreamOpen{"stream.open"};
inline constexpr Method<MuxOpenParams, MuxOpenResult> kMuxOpen{"mux.open"};
inline constexpr Method<Empty, MuxListResult> kMuxList{"mux.list"};
inline constexpr Method<Empty, Empty> kInteractionSubscribe{"interaction.subscribe"};
inline constexpr Method<InteractionClaimParams, Interaction> kInteractionClaim{"interaction.claim"};
inline constexpr Method<InteractionRespondParams, Empty> kInteractionRespond{"interaction.respond"};
inline constexpr Method<InteractionDeclineParams, Empty> kInteractionDecline{"interaction.decline"};
inline constexpr Method<EventsSubscribeParams, EventsSubscribeResult> kEventsSubscribe{"events.subscribe"};
inline constexpr Method<Empty, Empty> kEventsUnsubscribe{"events.unsubscribe"};
inline constexpr Method<Empty, DiagnosisReport> kAgentDiagnose{"agent.diagnose"};
inline constexpr Method<Empty, AgentReloadResult> kAgentReload{"agent.reload"};
inline constexpr Method<AgentShutdownParams, AgentShutdownResult> kAgentShutdown{"agent.shutdown"};
inline constexpr Method<AgentHandoverParams, AgentHandoverResult> kAgentHandover{"agent.handover"};
inline constexpr Method<Empty, AgentRetireResult> kAgentRetire{"agent.retire"};
}  // namespace method

// What the agent says unasked, to clients that asked for it.
template <class P>
struct Notification {
  using Params = P;
  const char* name;
};

namespace notification {
inline constexpr Notification<Interaction> kInteraction{"interaction"};
inline constexpr Notification<InteractionEnded> kInteractionEnded{"interaction.ended"};
inline constexpr Notification<Notice> kNotice{"notice"};
inline constexpr Notification<SessionEnded> kSessionEnded{"session.ended"};
inline constexpr Notification<StreamEnded> kStreamEnded{"stream.ended"};
inline constexpr Notification<Event> kEvent{"event"};
inline constexpr Notification<EventsLagged> kEventsLagged{"events.lagged"};
}  // namespace notification

}  // namespace jump::proto
