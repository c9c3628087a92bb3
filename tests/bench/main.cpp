// jumpbench: measures jumpagent and OpenSSH side by side. See README.md here; contrib/bench.sh builds and
// runs it.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "bench/far_end.h"
#include "bench/scenario.h"
#include "support/process.h"

namespace jump::bench {
namespace {

constexpr double kBusyLoad = 1.0;  // runnable processes besides us, from which on figures are worth less

constexpr Scenario kScenarios[] = {
    {"bulk", "throughput and CPU, each side's default cipher, no delay", bulk},
    {"bulk-gcm", "the same with AES-GCM on both sides", bulk_gcm},
    {"long-50", "throughput at 50 ms round trip", bulk_long},
    {"long-100", "at 100 ms", bulk_long},
    {"long-200", "at 200 ms", bulk_long},
    {"open-1", "one connection through a forward: time to its first byte", open_at_once},
    {"open-30", "30 connections at once", open_at_once},
    {"open-100", "100 at once", open_at_once},
    {"open-1000", "1,000 at once", open_at_once},
    {"open-4000", "4,000 at once", open_at_once},
    {"open-rtt", "100 at once at 50 ms round trip, in round trips", open_far},
    {"idle-10000", "10,000 idle connections: memory, CPU, life", idle_connections},
    {"echo", "a small channel under saturating bulk on one shared path", echo_under_bulk},
    {"lanes", "a second connection: jumpagent with it and without", with_and_without_lanes},
    {"ctl", "wall time of the commands", commands},
    {"exec", "a command on a warm connection", sessions},
    {"size", "size and libraries of jumpctl", size},
    {"rss", "memory of the idle programs", memory},
    {"equipment", "what the bench itself carries, without SSH", equipment},
};

struct Options {
  Settings settings;
  std::string json_path;
  std::vector<std::string> names;
};

int usage(int status) {
  std::string text =
      "usage: jumpbench [SCENARIO…] [--rounds N] [--quick] [--json FILE] [--list]\n"
      "\nmeasures jumpagent and OpenSSH in turn, and prints medians\n\n";
  for (const Scenario& s : kScenarios) text += fmt::format("  {:<12} {}\n", s.name, s.what);
  fmt::print(status ? stderr : stdout, "{}", text);
  return status;
}

const Scenario* find(std::string_view name) {
  for (const Scenario& s : kScenarios) {
    if (name == s.name) return &s;
  }
  return nullptr;
}

// nullopt: wrong usage.
std::optional<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  bool rounds_given = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& a = arguments[i];
    const bool more = i + 1 < arguments.size();
    if (a == "--quick") {
      options.settings.quick = true;
    } else if (a == "--rounds" && more) {
      options.settings.rounds = std::atoi(arguments[++i].c_str());
      rounds_given = true;
    } else if (a == "--json" && more) {
      options.json_path = arguments[++i];
    } else if (find(a)) {
      options.names.push_back(a);
    } else {
      return std::nullopt;
    }
  }
  if (options.settings.quick && !rounds_given) options.settings.rounds = 1;
  if (options.settings.rounds < 1) return std::nullopt;
  if (options.names.empty()) {
    for (const Scenario& s : kScenarios) options.names.emplace_back(s.name);
  }
  return options;
}

// Thousands of connections at once need as many descriptors as the system allows, here and in what we start.
void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

nlohmann::json conditions(const Settings& settings) {
  utsname kernel{};
  ::uname(&kernel);
  double load[1] = {};
  ::getloadavg(load, 1);
  // Before the build that ran just now.
  if (const char* earlier = std::getenv("JUMPBENCH_LOAD")) load[0] = std::atof(earlier);
  const auto ssh = test::run_process({"ssh", "-V"}, seconds(5));
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%F %H:%M", std::localtime(&now));
  return {{"date", date},
          {"cpu", cpu_model()},
          {"cpus", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"kernel", kernel.release},
          {"openssh", ssh.err.substr(0, ssh.err.find_first_of(",\n"))},
          {"load", load[0]},
          {"rounds", settings.rounds},
          {"quick", settings.quick}};
}

void print_conditions(const nlohmann::json& c) {
  fmt::print("{}; {} × {}; Linux {}; {}; {} rounds{}\n", c["date"].get<std::string>(), c["cpus"].get<int>(),
             c["cpu"].get<std::string>(), c["kernel"].get<std::string>(), c["openssh"].get<std::string>(),
             c["rounds"].get<int>(), c["quick"].get<bool>() ? ", quick" : "");
  const double load = c["load"].get<double>();
  if (load > kBusyLoad)
    fmt::print("CAUTION: the machine is busy (load {:.1f}): speeds are worth less\n", load);
  fmt::print("\n");
  std::fflush(stdout);
}

int measure(const Options& options) {
  raise_descriptor_limit();
  const nlohmann::json c = conditions(options.settings);
  print_conditions(c);
  Report report(c);
  for (const std::string& name : options.names) {
    try {
      find(name)->run(name, options.settings, report);
    } catch (const std::exception& e) {
      report.failed(name, e.what());
      fmt::print("{:<11}FAILED: {}\n", name, e.what());
    }
    fmt::print("{}", report.new_lines());
    std::fflush(stdout);
  }
  fmt::print("\n{}", report.summary());
  if (!options.json_path.empty()) std::ofstream(options.json_path) << report.json().dump(2) << "\n";
  return report.any_failed() ? 1 : 0;
}

}  // namespace
}  // namespace jump::bench

int main(int argc, char** argv) {
  using namespace jump::bench;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 1 && arguments[0] == FarEnd::kArgument) return FarEnd::run();
  if (arguments.size() == 1 && (arguments[0] == "--help" || arguments[0] == "--list")) return usage(0);
  const std::optional<Options> options = parse(arguments);
  return options ? measure(*options) : usage(2);
}
