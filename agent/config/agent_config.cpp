#include "config/agent_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/printable.h"
#include "config/bastion_table.h"
#include "config/route_choice.h"
#include "config/settings_table.h"
#include "config/toml_value.h"
#include "forward/spare_channels.h"
#include "route/host_name.h"

namespace jump {
namespace {

using std::chrono::hours;

constexpr Duration kShortest = milliseconds(1);
constexpr Duration kLongest = hours(24);  // as the control protocol has it
constexpr std::size_t kMaxConnections = 1'000'000;
constexpr std::size_t kMaxForwardsMost = 65536;
constexpr std::size_t kWindowMemoryMin = std::size_t{16} << 20;  // one channel's
constexpr std::size_t kWindowMemoryMax = std::size_t{64} << 30;

// Fills one AgentConfig from one document.
class Interpreter {
 public:
  Interpreter(AgentConfig& config, ConfigErrors& errors) : config_(config), errors_(errors) {}

  void read(const TomlValue& document) {
    SettingsTable file(document, {}, errors_);
    if (file.host("default_via", config_.default_via)) {
      config_.default_via_place = file.find("default_via")->value.place;
    }
    read_connect(file);
    for (const TomlValue* name : file.texts("mux")) serve(file, *name);
    for (const TomlValue* host : read_tables(file, "host", AgentConfig::kMaxServed)) read_host(*host);
    file.boolean("lanes", config_.lanes);
    read_log_level(file);
    for (const TomlValue* route : read_tables(file, "route", AgentConfig::kMaxRoutes)) read_route(*route);
    for (const TomlValue* forward : read_tables(file, "forward", kMaxForwardsMost)) read_forward(*forward);
    if (const TomlValue* bastions = file.table("bastion"))
      config_.bastions = read_bastions(*bastions, errors_);
    if (const TomlValue* timeouts = file.table("timeouts")) read_timeouts(*timeouts);
    if (const TomlValue* limits = file.table("limits")) read_limits(*limits);
    file.finish();
    resolve_forwards(file);
  }

 private:
  std::vector<const TomlValue*> read_tables(SettingsTable& file, const char* name, std::size_t most) {
    std::vector<const TomlValue*> tables = file.tables(name);
    if (tables.size() <= most) return tables;
    file.fail(tables[most]->place, fmt::format("more than {} tables [[{}]]", most, name));
    return {};
  }

  void read_connect(SettingsTable& file) {
    for (const TomlValue* name : file.texts("connect")) {
      if (auto host = HostName::parse(name->text); !host) {
        file.fail(name->place, "connect", host.error());
      } else if (config_.connect.size() == AgentConfig::kMaxConnect) {
        return file.fail(name->place, fmt::format("connect: more than {} hosts", AgentConfig::kMaxConnect));
      } else if (std::find(config_.connect.begin(), config_.connect.end(), name->text) ==
                 config_.connect.end()) {
        config_.connect.push_back(name->text);
      }
    }
  }

  // A host that stock ssh is to find here, or a pattern of ssh_config's aliases.
  void serve(SettingsTable& table, const TomlValue& name) {
    const bool pattern = name.text.find_first_of("*?") != std::string::npos;
    if (auto host = HostName::parse(name.text); !pattern && !host)
      return table.fail(name.place, "mux", host.error());
    if (name.text.empty() || name.text.find('/') != std::string::npos) {
      return table.fail(name.place, fmt::format("mux: '{}' is no name of a host", printable(name.text, 64)),
                        "a name as in 'ssh NAME', or a pattern of ssh_config's aliases: web*");
    }
    if (config_.mux.size() == AgentConfig::kMaxServed)
      return table.fail(name.place, fmt::format("mux: more than {} names", AgentConfig::kMaxServed));
    if (std::find(config_.mux.begin(), config_.mux.end(), name.text) == config_.mux.end())
      config_.mux.push_back(name.text);
  }

  void read_host(const TomlValue& value) {
    SettingsTable table(value, "host", errors_);
    bool served = true;
    table.require("name", "name = \"prod\"");
    table.boolean("mux", served);
    for (const TomlValue* name : table.texts("name")) {
      if (served) serve(table, *name);
    }
    table.finish();
  }

  void read_log_level(SettingsTable& file) {
    std::string level;
    if (!file.text("log_level", level) || log::parse_level(level, &config_.log_level)) return;
    file.fail(file.find("log_level")->value.place,
              fmt::format("log_level: '{}' is not a log level", printable(level, 32)),
              "the levels are trace, debug, info, warn, error and off");
  }

  void read_route(const TomlValue& value) {
    SettingsTable table(value, "route", errors_);
    const std::size_t errors_before = errors_.size();
    RouteRule route;
    table.require("to", "to = [\"*.prod.example\", \"10.20.0.0/16\"]");
    table.require("via", "via = \"bastion\"");
    table.host("via", route.via);
    for (const TomlValue* text : table.texts("to")) {
      auto pattern = DestinationPattern::parse(text->text);
      if (!pattern) {
        table.fail(text->place, "to", pattern.error());
      } else if (++patterns_ > AgentConfig::kMaxPatterns) {
        return table.fail(text->place, fmt::format("more than {} destinations", AgentConfig::kMaxPatterns));
      } else {
        route.to.push_back({*std::move(pattern), text->place});
      }
    }
    const TomlEntry* to = table.find("to");
    const bool useless = std::all_of(route.to.begin(), route.to.end(),
                                     [](const RouteRule::To& each) { return each.pattern.negated(); });
    if (to && useless && errors_.size() == errors_before) {
      table.fail(to->value.place, "route.to: nothing fits it", "name at least one destination without '!'");
    }
    table.finish();
    config_.routes.add(std::move(route));
  }

  void read_forward(const TomlValue& value) {
    SettingsTable table(value, "forward", errors_);
    ForwardRequest common;
    read_forward_kind(table, common.kind);
    std::vector<ForwardRequest> requests = read_forward_spec(table, common.kind);
    table.host("via", common.via);
    if (table.text("name", common.name)) {
      const ConfigPlace& place = table.find("name")->value.place;
      if (Status name = check_forward_name(common.name); !name) table.fail(place, "name", name.error());
      if (requests.size() > 1)
        table.fail(place,
                   "forward.name: a name is for one forward, and the spec's range of ports is several");
    }
    if (table.count("prewarm", common.prewarm, 0, SpareChannels::kMax) && common.prewarm > 0 &&
        common.kind != ForwardKind::kLocal) {
      table.fail(table.find("prewarm")->value.place,
                 "forward.prewarm: spare channels are for local forwards");
    }
    table.finish();
    if (config_.forwards.size() + requests.size() > kMaxForwardsMost) {
      return table.fail(value.place,
                        fmt::format("more than {} forwards, each port of a range counted", kMaxForwardsMost));
    }
    for (ForwardRequest& request : requests) {
      request.via = common.via;
      request.name = common.name;
      request.prewarm = common.prewarm;
      check_conflicts(table, request);
      config_.forwards.push_back(std::move(request));
      forward_places_.push_back(value.place);
    }
  }

  void read_forward_kind(SettingsTable& table, ForwardKind& out) {
    std::string kind;
    if (!table.text("kind", kind)) return;
    const auto known = proto::forward_kind_of(kind);
    const ConfigPlace& place = table.find("kind")->value.place;
    if (!known) {
      table.fail(place, fmt::format("forward.kind: there is no kind '{}'", kind), "local, remote or dynamic");
    } else if (*known == ForwardKind::kRemoteDynamic) {
      out = ForwardKind::kRemote;  // what is meant: its spec is no second mistake
      table.fail(place, "forward.kind: 'remote-dynamic' is what a remote forward without a target is called",
                 "write kind = \"remote\", and only a port as the spec: spec = \"1080\"");
    } else {
      out = *known;
    }
  }

  std::vector<ForwardRequest> read_forward_spec(SettingsTable& table, ForwardKind kind) {
    std::string spec;
    table.require("spec", "spec = \"8080:svc:80\"");
    if (!table.text("spec", spec)) return {};
    auto parsed = ForwardRequest::parse_all(kind, spec);
    if (parsed) return *std::move(parsed);
    table.fail(table.find("spec")->value.place, "spec", parsed.error());
    return {};
  }

  void check_conflicts(SettingsTable& table, const ForwardRequest& request) {
    const auto claim = [&](std::map<std::string, std::size_t>& taken, const std::string& what,
                           const std::string& message) {
      const auto [there, fresh] = taken.emplace(what, table.place().line);
      if (!fresh)
        table.fail(table.place(), fmt::format("{} the [[forward]] in line {}", message, there->second));
    };
    if (!request.name.empty()) claim(names_, request.name, "forward.name: it is also the name of");
    const std::string where = request.listens_there() ? " on " + request.via : "";
    if (!request.any_port()) {
      const std::string listen = request.listen.to_string() + where;
      claim(listens_, listen, fmt::format("forward.spec: {} is also where it listens:", listen));
    } else if (request.name.empty()) {
      claim(listens_, request.spec + " " + request.via + where, "forward.spec: it is the same as");
    }
  }

  // Needs the whole table of routes.
  void resolve_forwards(SettingsTable& file) {
    if (!errors_.empty()) return;  // the route may be what is wrong
    for (std::size_t i = 0; i < config_.forwards.size(); ++i) {
      ForwardRequest& forward = config_.forwards[i];
      if (!forward.via.empty()) continue;
      if (auto choice = choose_route(config_, forward.far_target(), {})) {
        forward.via = choice->via;
        forward.via_rule = choice->rule;
      } else {
        file.fail(forward_places_[i], fmt::format("forward {} has no host", forward.spec),
                  "add via = \"HOST\" to it, a [[route]] for its target, or default_via");
      }
    }
  }

  void read_timeouts(const TomlValue& value) {
    SettingsTable table(value, "timeouts", errors_);
    table.duration("login", config_.login_wait, kShortest, kLongest);
    table.duration("bastion", config_.forward_limits.host_wait, kShortest, kLongest);
    table.duration("open", config_.forward_limits.open_timeout, kShortest, kLongest);
    table.duration("drain", config_.drain, Duration::zero(), kLongest);
    table.finish();
  }

  void read_limits(const TomlValue& value) {
    SettingsTable table(value, "limits", errors_);
    table.count("clients", config_.max_clients, 1, AgentConfig::kMaxClientsMost);
    table.count("forwards", config_.max_forwards, 1, kMaxForwardsMost);
    table.count("connections", config_.forward_limits.max_connections, 1, kMaxConnections);
    table.size("window_memory", config_.window_memory, kWindowMemoryMin, kWindowMemoryMax);
    table.finish();
  }

  AgentConfig& config_;
  ConfigErrors& errors_;
  std::size_t patterns_ = 0;
  std::vector<ConfigPlace> forward_places_;             // of config_.forwards
  std::map<std::string, std::size_t> names_, listens_;  // of forwards, with their lines
};

}  // namespace

std::variant<AgentConfig, ConfigErrors> AgentConfig::parse(std::string_view text, const std::string& file) {
  AgentConfig config;
  config.file = file;
  auto document = parse_toml(text);
  if (auto* error = std::get_if<ConfigError>(&document)) return ConfigErrors{std::move(*error)};
  ConfigErrors errors;
  Interpreter(config, errors).read(std::get<TomlValue>(document));
  if (errors.empty()) return config;
  std::stable_sort(errors.begin(), errors.end(),
                   [](const ConfigError& a, const ConfigError& b) { return a.place < b.place; });
  if (errors.size() > kMaxErrors) {
    const std::size_t more = errors.size() - kMaxErrors;
    errors.resize(kMaxErrors);
    errors.push_back({{}, fmt::format("and {} more errors", more), {}});
  }
  return errors;
}

const AgentConfig& AgentConfig::defaults() {
  static const AgentConfig config;
  return config;
}

std::string AgentConfig::short_place(const ConfigPlace& place) const {
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), place.line);
}

}  // namespace jump
