// AgentConfig: the agent's own settings, as the config file has them. A value; what is not set has the
// default that the code has without a file. parse() makes it of a file's text and changes nothing else.
//
//   default_via = "bastion"        connect = ["bastion"]      lanes = true      log_level = "info"
//   mux = ["bastion", "web*"]      [[host]]  name = "prod"  mux = true
//   [[route]]    to = ["*.prod.example", "10.20.0.0/16", "!db.prod.example"]    via = "bastion"
//   [[forward]]  spec = "8080:svc:80"   via = "bastion"   name = "web"   prewarm = 0
//   [bastion]    prod = ["jump1", "jump2"]     (bastion_table.h)
//   [timeouts]   login = "60s"   bastion = "10s"   open = "20s"   drain = "5s"
//   [limits]     clients = 256   forwards = 4096   connections = 10000   window_memory = "512MiB"
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "channel/window_budget.h"
#include "config/config_error.h"
#include "config/routing_table.h"
#include "forward/forward_request.h"
#include "forward/forwards.h"

namespace jump {

using ConfigErrors = std::vector<ConfigError>;  // in the file's order, never empty

struct AgentConfig {
  // What a file may hold: more is a mistake, or a runaway generator.
  static constexpr std::size_t kMaxRoutes = 1024;
  static constexpr std::size_t kMaxPatterns = 4096;  // of all routes together
  static constexpr std::size_t kMaxConnect = 64;     // logins at start
  static constexpr std::size_t kMaxServed = 256;     // names and patterns of hosts that ssh finds here
  static constexpr std::size_t kMaxClientsMost = 4096;
  static constexpr std::size_t kMaxErrors = 50;  // shown at once; nobody reads more

  // Names for several hosts, with those (Hosts::Bastions).
  using Bastions = std::map<std::string, std::vector<std::string>>;

  std::string file;  // that it was read from; empty: none
  std::string default_via;
  ConfigPlace default_via_place;
  RoutingTable routes;
  Bastions bastions;
  std::vector<std::string> connect;      // hosts to log in to at start
  std::vector<std::string> mux;          // hosts that stock ssh finds here, or patterns of aliases: "web*"
  std::vector<ForwardRequest> forwards;  // to keep open; `via` is set in each
  Duration login_wait = seconds(60);     // for a login, when a client names no timeout
  Duration drain = seconds(5);           // at the end, for connections that still move bytes
  ForwardLimits forward_limits;
  std::size_t max_clients = 256;  // ControlServer::kMaxClients
  std::size_t max_forwards = Forwards::kMaxForwards;
  std::size_t window_memory = WindowBudget::kDefaultCap;
  bool lanes = true;
  log::Level log_level = log::Level::kInfo;

  // `file` is for messages and for AgentConfig::file.
  static std::variant<AgentConfig, ConfigErrors> parse(std::string_view text, const std::string& file);
  // Without a file.
  static const AgentConfig& defaults();
  // "config.toml:12"
  std::string short_place(const ConfigPlace& place) const;
};

}  // namespace jump
