// The lines of `jumpctl watch`.
#include <gtest/gtest.h>

#include "ctl/watch_text.h"

namespace jump::ctl {
namespace {

proto::HostStatus host(const std::string& state, const std::string& error = {}) {
  proto::HostStatus status;
  status.host = "prod";
  status.state = state;
  status.error = error;
  return status;
}

proto::ForwardStatus forward(const std::string& state, const std::string& error = {}) {
  proto::ForwardStatus status;
  status.id = "f1";
  status.name = "web";
  status.kind = "local";
  status.listen = "127.0.0.1:8080";
  status.target = "svc:80";
  status.via = "prod";
  status.state = state;
  status.error = error;
  return status;
}

proto::Event of(const proto::HostStatus& status) {
  return {1, "host", "changed", status.host, status, {}, {}};
}
proto::Event of(const proto::ForwardStatus& status) {
  return {1, "forward", "changed", status.id, {}, status, {}};
}

TEST(WatchText, BeginsWithHowEverythingIs) {
  WatchText text;
  EXPECT_EQ(text.begin({{host("ready")}, {forward("active")}, {}, {}}, "12:03:11"),
            "12:03:11 host prod: ready\n12:03:11 forward f1 web (127.0.0.1:8080 -> svc:80): active\n");
  EXPECT_EQ(WatchText{}.begin({}, "12:03:11"), "12:03:11 no hosts and no forwards yet\n");
}

TEST(WatchText, SaysFromWhichStateToWhich) {
  WatchText text;
  text.begin({{host("connecting")}, {forward("active")}, {}, {}}, "-");
  EXPECT_EQ(text.tell(of(host("ready")), "12:03:12"), "12:03:12 host prod: connecting -> ready\n");
  EXPECT_EQ(text.tell(of(forward("waiting", "prod: lost")), "12:03:13"),
            "12:03:13 forward f1 web (127.0.0.1:8080 -> svc:80): active -> waiting: prod: lost\n");
  EXPECT_EQ(text.tell(of(forward("waiting", "prod: refused")), "-"),
            "- forward f1 web (127.0.0.1:8080 -> svc:80): waiting: prod: refused\n");
  EXPECT_EQ(text.tell(of(forward("active")), "-"),
            "- forward f1 web (127.0.0.1:8080 -> svc:80): waiting -> active\n");
  EXPECT_EQ(text.tell(of(forward("active")), "-"),
            "- forward f1 web (127.0.0.1:8080 -> svc:80): active (details have changed)\n");
}

TEST(WatchText, SaysWhatComesAndGoes) {
  WatchText text;
  text.begin({}, "-");
  EXPECT_EQ(text.tell(of(forward("starting")), "-"),
            "- forward f1 web (127.0.0.1:8080 -> svc:80): starting\n");
  EXPECT_EQ(text.tell(proto::Event{2, "forward", "removed", "f1", {}, {}, {}}, "-"),
            "- forward f1 web (127.0.0.1:8080 -> svc:80): closed\n");
  proto::InteractionStatus question{"i1", "password", "prod", "prod (me@h)", 0, false};
  EXPECT_EQ(text.tell(proto::Event{3, "interaction", "added", "i1", {}, {}, question}, "-"),
            "- question i1 (password, for prod): waits for an answer\n");
  question.claimed = true;
  EXPECT_EQ(text.tell(proto::Event{4, "interaction", "changed", "i1", {}, {}, question}, "-"),
            "- question i1 (password, for prod): waits for an answer -> being answered\n");
  EXPECT_EQ(text.tell(proto::Event{5, "interaction", "removed", "i1", {}, {}, {}}, "-"),
            "- question i1 (password, for prod): over\n");
}

TEST(WatchText, TellsOfSessions) {
  WatchText text;
  proto::SessionStatus session{"s1", "command", "prod", "", "waiting", false, 3, 0, 0, 0};
  session.what = "tail \x1b[31m" + std::string(100, 'x') + " the end";
  proto::Event event{1, "session", "added", "s1", {}, {}, {}, session};
  const std::string added = text.tell(event, "-");
  EXPECT_EQ(added.find('\x1b'), std::string::npos) << added;
  EXPECT_LT(added.size(), 120u) << added;
  EXPECT_NE(added.find("the end): waiting\n"), std::string::npos) << added;
  session.what.clear();
  session.kind = "shell";
  session.state = "running";
  event.session = session;
  EXPECT_EQ(text.tell(event, "-"), "- session s1 (shell on prod): waiting -> running\n");
  EXPECT_EQ(text.tell(proto::Event{2, "session", "removed", "s1", {}, {}, {}}, "-"),
            "- session s1 (shell on prod): over\n");
  proto::EventsSnapshot snapshot;
  snapshot.sessions = {session};
  EXPECT_EQ(WatchText{}.begin(snapshot, "-"), "- session s1 (shell on prod): running\n");
}

TEST(WatchText, NamesTheEndsOfEachKindOfForward) {
  WatchText text;
  text.begin({}, "-");
  proto::ForwardStatus remote = forward("active");
  remote.kind = "remote";
  remote.name.clear();
  EXPECT_EQ(text.tell(of(remote), "-"), "- forward f1 (127.0.0.1:8080 on prod -> svc:80): active\n");
  proto::ForwardStatus dynamic = forward("active");
  dynamic.kind = "dynamic";
  dynamic.id = "f2";
  dynamic.target.clear();
  EXPECT_EQ(text.tell(of(dynamic), "-"), "- forward f2 web (127.0.0.1:8080 -> any target): active\n");
}

TEST(WatchText, TellsOnlyTheDifferencesAfterAGap) {
  WatchText text;
  proto::ForwardStatus same = forward("active");
  same.id = "f2";
  text.begin({{host("ready")}, {forward("active"), same}, {}, {}}, "-");
  same.bytes_in = 1000;
  EXPECT_EQ(text.tell(proto::EventsLagged{9, 8, {{host("down", "lost")}, {same}, {}, {}}}, "-"),
            "- 8 changes were missed; what is different now:\n"
            "- host prod: ready -> down: lost\n"
            "- forward f1 web (127.0.0.1:8080 -> svc:80): closed\n");
}

TEST(WatchText, KeepsTheTerminalSafeFromServersAndIgnoresKindsOfTheFuture) {
  WatchText text;
  text.begin({}, "-");
  const std::string line = text.tell(of(host("down", "\x1b[2Jgone\nline")), "-");
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(text.tell(proto::Event{2, "session", "added", "s1", {}, {}, {}}, "-"), "");
  EXPECT_EQ(text.tell(proto::Event{3, "session", "removed", "s1", {}, {}, {}}, "-"), "");
}

}  // namespace
}  // namespace jump::ctl
