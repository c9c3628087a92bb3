#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ctl/print.h"
#include "ctl/table.h"
#include "ctl/usage.h"

namespace jump::ctl {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

proto::ForwardStatus forward(std::string id, std::string listen, std::string state) {
  proto::ForwardStatus out;
  out.id = std::move(id);
  out.kind = "local";
  out.listen = std::move(listen);
  out.target = "svc:80";
  out.via = "prod";
  out.state = std::move(state);
  return out;
}

proto::HostStatus host(std::string name, std::string state) {
  proto::HostStatus out;
  out.host = std::move(name);
  out.state = std::move(state);
  out.address = "deploy@10.0.0.5:22";
  return out;
}

TEST(Sanitized, KeepsPlainText) {
  for (const char* text : {"", "plain ~ text",
                           "Gr\xc3\xbc\xc3\x9f"
                           "e \xe2\x82\xac \xf0\x9f\x94\x91"}) {
    EXPECT_EQ(sanitized(text), text);
  }
}

TEST(Sanitized, ReplacesWhatCouldDriveATerminal) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(sanitized("\x1b[2J\a"), r + "[2J" + r);
  EXPECT_EQ(sanitized("a\nb\r\tc\x7f"), "a" + r + "b" + r + r + "c" + r);
  EXPECT_EQ(sanitized(std::string_view("a\0b", 3)), "a" + r + "b");
  EXPECT_EQ(sanitized("\xc2\x9b"
                      "31m"),
            r + "31m");  // C1 CSI
  EXPECT_EQ(sanitized("a\xe2\x80\xae"
                      "b"),
            "a" + r + "b");                                 // right-to-left override
  EXPECT_EQ(sanitized("\xe2\x81\xa6\xe2\x80\xa8"), r + r);  // isolate, line separator
}

TEST(Sanitized, ReplacesBytesThatAreNotUtf8) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(sanitized("\xff"), r);
  EXPECT_EQ(sanitized("\x9b"
                      "1m"),
            r + "1m");                      // C1 CSI of 8 bits
  EXPECT_EQ(sanitized("\xc3"), r);          // cut off
  EXPECT_EQ(sanitized("\xc0\x9b"), r + r);  // overlong
  EXPECT_EQ(sanitized("\xe0\x80\x9b"), r + r + r);
  EXPECT_EQ(sanitized("\xed\xa0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(sanitized("\xf4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
}

TEST(Format, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(14 << 20), "14 MiB");
  EXPECT_EQ(format_bytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(std::uint64_t{3} << 40), "3.0 TiB");
  EXPECT_EQ(format_bytes(std::numeric_limits<std::uint64_t>::max()), "16384 PiB");
}

TEST(Format, Duration) {
  EXPECT_EQ(format_duration(0.9), "0 s");
  EXPECT_EQ(format_duration(59.9), "59 s");
  EXPECT_EQ(format_duration(60), "1 min");
  EXPECT_EQ(format_duration(3 * 3600 + 12 * 60), "3 h 12 min");
  EXPECT_EQ(format_duration(2 * 86400 + 4 * 3600), "2 d 4 h");
}

TEST(Format, AgeInWords) {
  EXPECT_EQ(format_age(0.4), "just now");
  EXPECT_EQ(format_age(1), "1 second ago");
  EXPECT_EQ(format_age(59), "59 seconds ago");
  EXPECT_EQ(format_age(61), "1 minute ago");
  EXPECT_EQ(format_age(7200), "2 hours ago");
  EXPECT_EQ(format_age(86400), "1 day ago");
}

TEST(Format, RoundTrip) {
  EXPECT_EQ(format_round_trip(0.0004), "0.4 ms");
  EXPECT_EQ(format_round_trip(0.0001), "0.1 ms");
  EXPECT_EQ(format_round_trip(0.00009), "<0.1 ms");
  EXPECT_EQ(format_round_trip(0.012), "12 ms");
  EXPECT_EQ(format_round_trip(1.5), "1.5 s");
}

TEST(Format, SurvivesNumbersThatAreNone) {
  for (const double odd : {-1.0, -kInfinity, std::nan("")}) {
    EXPECT_EQ(format_duration(odd), "0 s");
    EXPECT_EQ(format_age(odd), "just now");
    EXPECT_EQ(format_round_trip(odd), "0.0 ms");
  }
  EXPECT_EQ(format_duration(kInfinity), "115740 d 17 h");
}

TEST(Format, ForwardAndHostInALine) {
  EXPECT_EQ(format_forward(forward("f1", "127.0.0.1:8080", "active")),
            "127.0.0.1:8080 -> svc:80 via prod (f1)");
  proto::ForwardStatus named = forward("f2", "127.0.0.1:8080", "waiting");
  named.name = "web";
  named.error = "away";
  EXPECT_EQ(format_forward(named), "127.0.0.1:8080 -> svc:80 via prod (f2, web): waiting: away");
  EXPECT_EQ(format_host(host("prod", "ready")), "prod: ready (deploy@10.0.0.5:22)");
}

TEST(Format, ForwardOfEachKind) {
  proto::ForwardStatus remote = forward("f1", "127.0.0.1:9000", "active");
  remote.kind = "remote";
  EXPECT_EQ(format_forward(remote), "127.0.0.1:9000 on prod -> svc:80 (f1)");
  proto::ForwardStatus dynamic = forward("f2", "127.0.0.1:1080", "active");
  dynamic.kind = "dynamic";
  dynamic.target.clear();
  EXPECT_EQ(format_forward(dynamic), "127.0.0.1:1080 -> any target via prod (f2)");
  dynamic.kind = "remote-dynamic";
  EXPECT_EQ(format_forward(dynamic), "127.0.0.1:1080 on prod -> any target (f2)");
}

TEST(Format, MarksSayWhatIsNotAsUsual) {
  proto::ForwardStatus plain = forward("f1", "127.0.0.1:8080", "active");
  EXPECT_EQ(format_marks(plain), "");
  plain.held = 2;
  EXPECT_EQ(format_marks(plain), "held");
  plain.held = 0;
  plain.persist = true;
  plain.exposed = true;
  EXPECT_EQ(format_marks(plain), "exposed, persist");
  for (const char* everywhere : {"0.0.0.0:8080", "*:8080", "[::]:8080"}) {
    plain.listen = everywhere;
    EXPECT_EQ(format_marks(plain), "all interfaces, persist");
  }
  EXPECT_EQ(format_forward(plain), "[::]:8080 -> svc:80 via prod (f1), all interfaces, persist");
  for (const char* kind : {"remote", "remote-dynamic"}) {
    plain.kind = kind;
    plain.listen = "*:8080";
    EXPECT_EQ(format_marks(plain), "all interfaces if GatewayPorts allows, persist");
    plain.listen = "10.0.0.5:8080";
    EXPECT_EQ(format_marks(plain), "exposed if GatewayPorts allows, persist");
    plain.exposed = false;
    EXPECT_EQ(format_marks(plain), "persist");
    plain.exposed = true;
  }
}

TEST(Format, RateOnlyWhereSomethingMoves) {
  EXPECT_EQ(format_rate(0), "");
  EXPECT_EQ(format_rate(0.9), "");
  EXPECT_EQ(format_rate(1), "1 B/s");
  EXPECT_EQ(format_rate(1.5 * 1024 * 1024), "1.5 MiB/s");
  for (const double odd : {-1.0, -kInfinity, std::nan("")}) EXPECT_EQ(format_rate(odd), "");
  EXPECT_EQ(format_rate(kInfinity), "888 PiB/s");
}

TEST(Format, ErrorEndsInItsHint) {
  EXPECT_EQ(format_error({-1, "no agent", "unreachable", "start it"}), "no agent; start it");
  EXPECT_EQ(format_error({-1, "no\x1b agent", "unreachable", ""}), "no\xef\xbf\xbd agent");
}

TEST(Table, AlignsColumnsAndLeavesOutEmptyOnes) {
  Table table({"A", "NOTHING", "LONG TITLE", "Z"});
  table.add_row({"1", "", "x", "end"});
  table.add_row({"\xc3\xa4\xc3\xb6\xc3\xbc", "", "", "e"});
  table.add_row({"3", "", "y", ""});
  table.add_note(Cell("a note"));
  EXPECT_EQ(table.render(false),
            "A    LONG TITLE  Z\n"
            "1    x           end\n"
            "\xc3\xa4\xc3\xb6\xc3\xbc              e\n"
            "3    y\n"
            "  a note\n");
}

TEST(Table, ShortensInTheMiddle) {
  EXPECT_EQ(shortened("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(shortened("abcdefgh", 5), "ab\xe2\x80\xa6gh");
  EXPECT_EQ(shortened("abcdefgh", 4), "ab\xe2\x80\xa6h");
  EXPECT_EQ(shortened("abcdefgh", 1), "\xe2\x80\xa6");
  const std::string umlauts = "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc";
  EXPECT_EQ(shortened(umlauts, 3), "\xc3\xa4\xe2\x80\xa6\xc3\xbc");
}

TEST(Table, LeavesOutWhatItCanSpareWhereTheLineIsShort) {
  Table table({"ID", "SPARE", "RATHER", "NAME"}, {"SPARE", "RATHER"});
  table.add_row({"1", "s", "r", "x"});
  EXPECT_EQ(table.render(false, 0), "ID  SPARE  RATHER  NAME\n1   s      r       x\n");
  EXPECT_EQ(table.render(false, 23), table.render(false, 0));
  EXPECT_EQ(table.render(false, 22), "ID  RATHER  NAME\n1   r       x\n");
  EXPECT_EQ(table.render(false, 15), "ID  NAME\n1   x\n");
  EXPECT_EQ(table.render(false, 3), "ID  NAME\n1   x\n");
}

TEST(Table, CutsItsLongestCellsWhereNothingElseIsToSpare) {
  Table table({"ID", "PATH", "TO"});
  table.add_row({"1", "/run/user/1000/some/long/path.sock", "/tmp/a.sock"});
  table.add_row({"2", "short", "x"});
  EXPECT_EQ(table.render(false, 40),
            "ID  PATH                     TO\n"
            "1   /run/user/1\xe2\x80\xa6g/path.sock  /tmp/a.sock\n"
            "2   short                    x\n");
}

TEST(Table, ColoursOnlyWhenAsked) {
  Table table({"S"});
  table.add_row({Cell("ready", Colour::kGreen)});
  EXPECT_EQ(table.render(false).find('\x1b'), std::string::npos);
  EXPECT_EQ(table.render(true), "\x1b[1mS\x1b[0m\n\x1b[32mready\x1b[0m\n");
}

TEST(Table, MakesCellsSafe) {
  Table table({"S"});
  table.add_row({"a\nb\x1b"});
  table.add_note(Cell("\x1b]0;title\a"));
  const std::string text = table.render(false);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST(Render, ForwardsAsATable) {
  proto::ForwardStatus broken = forward("f2", "127.0.0.1:5432", "backoff");
  broken.error = "prod: connection refused";
  broken.error_age = 300;
  broken.refused = 2;
  proto::ForwardStatus good = forward("f1", "127.0.0.1:8080", "active");
  good.connections = 3;
  good.connections_total = 12;
  good.bytes_in = 1536;
  good.age = 60;
  EXPECT_EQ(render_forwards({good, broken}, Style{}),
            "ID  KIND   LISTEN          TARGET  VIA   STATE    FOR    OPEN  TOTAL  REFUSED  IN       OUT\n"
            "f1  local  127.0.0.1:8080  svc:80  prod  active   1 min  3     12              1.5 KiB  0 B\n"
            "f2  local  127.0.0.1:5432  svc:80  prod  backoff  0 s    0     0      2        0 B      0 B\n"
            "  last error, 5 minutes ago: prod: connection refused\n");
  EXPECT_EQ(render_forwards({}, Style{}), "no forwards\n");
}

TEST(Render, RatesAndMarksHaveColumnsOnlyWhereThereAreSome) {
  proto::ForwardStatus busy = forward("f1", "*:1080", "active");
  busy.kind = "dynamic";
  busy.target.clear();
  busy.name = "proxy";
  busy.rate_in = 2048;
  busy.exposed = true;
  EXPECT_EQ(render_forwards({busy, forward("f2", "127.0.0.1:8080", "active")}, Style{}),
            "ID  NAME   KIND     LISTEN          TARGET      VIA   STATE   FOR  OPEN  TOTAL  IN   OUT  RATE IN    MARKS\n"
            "f1  proxy  dynamic  *:1080          any target  prod  active  0 s  0     0      0 B  0 B  2.0 KiB/s  all "
            "interfaces\n"
            "f2         local    127.0.0.1:8080  svc:80      prod  active  0 s  0     0      0 B  0 B\n");
  EXPECT_EQ(render_forwards({busy}, Style{.line = 80}),
            "ID  NAME   KIND     LISTEN  TARGET      VIA   STATE   OPEN  MARKS\n"
            "f1  proxy  dynamic  *:1080  any target  prod  active  0     all interfaces\n");
}

TEST(Render, TargetsOfADynamicForwardEachHaveTheirError) {
  proto::ForwardStatus proxy = forward("f1", "127.0.0.1:1080", "degraded");
  proxy.kind = "dynamic";
  proxy.error = "svc:81: connection refused";
  proxy.error_age = 5;
  proxy.targets = {{"svc:81", "connection refused", 5, 3}, {"db:5432", "administratively prohibited", 60, 1}};
  const std::string text = render_forwards({proxy}, Style{});
  EXPECT_NE(text.find("\n  svc:81, 5 seconds ago (3 times): connection refused\n"
                      "  db:5432, 1 minute ago: administratively prohibited\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("last error"), std::string::npos) << "it would be said twice: " << text;
  proxy.targets[1].error = "db:5432: no route";
  EXPECT_NE(render_forwards({proxy}, Style{}).find("\n  db:5432, 1 minute ago: no route\n"), std::string::npos)
      << "the target is named twice";
  proxy.targets.resize(16, {"more:1", "no", 0, 1});
  EXPECT_NE(render_forwards({proxy}, Style{}).find("\n  and 11 more that could not be reached\n"), std::string::npos);
  proxy.error = "prod: connection lost";
  EXPECT_NE(render_forwards({proxy}, Style{}).find("  last error, 5 seconds ago: prod: connection lost\n"),
            std::string::npos);
}

TEST(Render, StatusSaysWhatIsWrongWithTheStateFile) {
  proto::StatusResult status;
  EXPECT_EQ(render_status(status, Style{}).find("state file"), std::string::npos);
  status.agent.state_problem = "/state/forwards: cut short";
  EXPECT_NE(render_status(status, Style{}).find("\nstate file: /state/forwards: cut short\n"), std::string::npos);
}

TEST(Render, StatusHasAgentHostsAndForwards) {
  proto::StatusResult status;
  status.agent.version = "0.1.0";
  status.agent.pid = 42;
  status.agent.uptime = 3 * 3600;
  status.agent.clients = 1;
  status.agent.memory = 14 << 20;
  status.agent.descriptors = 20;
  status.agent.socket = "/run/control.sock";
  status.hosts = {host("prod", "ready")};
  status.hosts[0].rtt = 0.012;
  EXPECT_EQ(render_status(status, Style{}),
            "jumpagent 0.1.0, pid 42, up 3 h 0 min, 1 client, 14 MiB, 20 descriptors\n"
            "socket /run/control.sock\n"
            "\n"
            "HOST  STATE  FOR  ADDRESS             RTT    CHANNELS  IN   OUT  LOGINS\n"
            "prod  ready  0 s  deploy@10.0.0.5:22  12 ms  0         0 B  0 B  0\n"
            "\n"
            "no forwards\n");
}

TEST(Render, OneLongNameLosesItsMiddleAndTheOtherRowsStayAsTheyWere) {
  const std::string name(300, 'x');
  const std::string text = render_hosts({host(name, "down"), host("prod", "ready")}, Style{});
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    EXPECT_LT(end - at, 200U) << text;
    at = end + 1;
  }
  EXPECT_NE(text.find("xx\xe2\x80\xa6xx"), std::string::npos) << text;
}

TEST(Render, AWarningStandsBelowItsHost) {
  proto::HostStatus one = host("prod", "ready");
  one.warning = "Failed to add the host";
  EXPECT_NE(render_hosts({one}, Style{}).find("\n  Failed to add the host\n"), std::string::npos);
}

TEST(Render, ASecondConnectionIsToldOfOnlyWhileItIsThere) {
  proto::HostStatus one = host("prod", "ready");
  EXPECT_EQ(render_hosts({one}, Style{}).find("second connection"), std::string::npos);
  one.lanes = 1;
  EXPECT_NE(render_hosts({one}, Style{}).find("second connection"), std::string::npos);
}

TEST(Render, StatusShowsTheBoundsThatMatterAndNoOthers) {
  proto::StatusResult status;
  status.agent.version = "0.1.0";
  status.agent.descriptors = 20;
  status.agent.descriptor_limit = 65536;
  status.agent.window_budget = std::uint64_t{512} << 20;
  status.agent.loop_lag_max = 0.099;
  status.hosts = {host("prod", "ready")};
  const std::string quiet = render_status(status, Style{});
  EXPECT_NE(quiet.find(", 20 of 65536 descriptors\n"), std::string::npos) << quiet;
  EXPECT_EQ(quiet.find("now:"), std::string::npos) << quiet;
  EXPECT_EQ(quiet.find("so far:"), std::string::npos) << quiet;

  status.agent.window_held = 3 << 20;
  status.agent.loop_lag_max = 0.35;
  status.agent.accept_pauses = 1;
  status.agent.clients_over_limit = 2;
  status.agent.clients_cut_off = 3;
  status.agent.requests_paused = 4;
  status.agent.peers_turned_away = 5;
  status.agent.protocol_errors = 6;
  proto::HostStatus& host = status.hosts[0];
  host.waiting = 1;
  host.held_in = 3 << 20;
  host.channels_opening = 2;
  host.channels_closing = 3;
  host.opens_refused = 4;
  host.opens_timed_out = 5;
  host.window_stalls = 6;
  host.signals_refused = 7;
  host.window_growths = 2;
  host.largest_window = 8 << 20;
  const std::string busy = render_status(status, Style{});
  for (const char* line :
       {"\nnow: held for slow readers 3.0 MiB of 512 MiB, loop lag up to 350 ms\n",
        "\nso far: out of descriptors 1, clients too many 2, clients that did not read 3, clients paused 4, "
        "peers of other users 5, malformed requests 6\n",
        "\n  now: waiting for it 1, held for slow readers 3.0 MiB, channels opening 2, closing 3\n",
        "\n  so far: opens refused 4, opens timed out 5, window stalls 6, signals refused 7, "
        "largest window 8.0 MiB\n"}) {
    EXPECT_NE(busy.find(line), std::string::npos) << line << busy;
  }
}

TEST(Usage, SuggestsTheNearestVerb) {
  EXPECT_EQ(nearest_verb("statsu"), "status");
  EXPECT_EQ(nearest_verb("conect"), "connect");
  EXPECT_EQ(nearest_verb("fwd"), "");
  EXPECT_EQ(nearest_verb("dis"), "disconnect");
  EXPECT_EQ(nearest_verb("ls"), "");
  EXPECT_EQ(nearest_verb("x"), "");
  EXPECT_EQ(nearest_verb(""), "");
  EXPECT_EQ(nearest_verb(std::string(1 << 20, 'a')), "");
}

TEST(Usage, HelpNamesEveryVerb) {
  for (const Verb& verb : verbs()) {
    EXPECT_NE(help().find(verb.summary), std::string::npos) << verb.name;
    EXPECT_NE(help(verb).find(std::string("usage: jumpctl ") + std::string(verb.name)), std::string::npos);
    EXPECT_EQ(find_verb(verb.name), &verb);
  }
  EXPECT_EQ(find_verb("nothing"), nullptr);
}

TEST(RenderStatus, HasATableOfSessionsWhereThereAreAny) {
  proto::StatusResult status;
  EXPECT_EQ(render_status(status, Style{}).find("SESSION"), std::string::npos);
  status.sessions = {{"s1", "command", "prod", "printf '\\a\n\x1b[31m'; " + std::string(200, 'x'), "running", false, 2,
                      2048, 5, 61},
                     {"s2", "shell", "prod", "", "opening", true, 2, 0, 0, 1}};
  const std::string text = render_status(status, Style{});
  EXPECT_NE(text.find("SESSION  KIND"), std::string::npos) << text;
  EXPECT_NE(text.find("running  1 min  2.0 KiB  5 B"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find(std::string(61, 'x')), std::string::npos) << "cut";
  status.agent.sessions_refused = 3;
  EXPECT_NE(render_status(status, Style{}).find("sessions too many 3"), std::string::npos);
}

TEST(RenderHosts, CountsFurtherConnections) {
  proto::HostStatus one = host("prod", "ready");
  one.lanes = 3;
  EXPECT_NE(render_hosts({one}, Style{}).find("3 further connections carry part of it"), std::string::npos);
}

}  // namespace
}  // namespace jump::ctl
