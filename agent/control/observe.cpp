#include "control/observe.h"

#include <set>
#include <string>

#include "control/status.h"

namespace jump {

proto::EventsSnapshot observe(const Hosts& hosts, const Forwards& forwards, const Interactions* interactions,
                              const Sessions* sessions, TimePoint now) {
  proto::EventsSnapshot all;
  for (const auto& [name, host] : hosts.all()) all.hosts.push_back(host_status(*host, now));
  all.forwards = forward_list(forwards, now).forwards;
  if (sessions) {
    for (const auto& [id, facts] : sessions->all()) all.sessions.push_back(session_status(id, facts, now));
  }
  if (!interactions) return all;
  all.interactions = interactions->pending();
  const std::set<std::string> asked = interactions->hosts_that_wait();
  for (proto::HostStatus& host : all.hosts) {
    // A question may come after the login, too (UpdateHostKeys): nothing waits for that one.
    if (asked.contains(host.host) && host.state != "ready") host.state = "waiting_user";
  }
  for (proto::ForwardStatus& forward : all.forwards) {
    const bool waits = forward.state == "waiting" || forward.state == "starting";
    if (asked.contains(forward.via) && waits) forward.state = "waiting_user";
  }
  return all;
}

}  // namespace jump
