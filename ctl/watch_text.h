// What `watch` prints for people: how everything is, then a line for each change. Remembers what it has said
// of each host, forward, session and question, so that a line can name what was before, and so that after a gap only
// the differences are told. Pure: the time of day is a parameter.
//
//   12:03:11 host prod: connecting -> ready
//   12:03:12 forward f1 web (127.0.0.1:8080 -> svc:80): active -> waiting: prod: the connection was lost
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "proto/messages.h"

namespace jump::ctl {

class WatchText {
 public:
  // Complete lines; each begins with `at`. Text from elsewhere is made safe for a terminal.
  std::string begin(const proto::EventsSnapshot& snapshot, std::string_view at);
  std::string tell(const proto::Event& event, std::string_view at);
  std::string tell(const proto::EventsLagged& lagged, std::string_view at);

 private:
  template <class Status>
  using Known = std::map<std::string, Status>;

  template <class Status>
  static std::string update(Known<Status>& known, const Status& status, std::string_view at);
  template <class Status>
  static std::string remove(Known<Status>& known, const std::string& id, std::string_view at);
  template <class Status>
  static std::string replace(Known<Status>& known, const std::vector<Status>& all, std::string_view at);

  Known<proto::HostStatus> hosts_;
  Known<proto::ForwardStatus> forwards_;
  Known<proto::SessionStatus> sessions_;
  Known<proto::InteractionStatus> interactions_;
};

}  // namespace jump::ctl
