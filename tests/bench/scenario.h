// The measurements by name. Each function measures one after the other, jumpagent first, in turns, and adds
// figures.
#pragma once

#include <string>

#include "bench/report.h"

namespace jump::bench {

struct Settings {
  int rounds = 3;
  bool quick = false;  // a look rather than a measurement
};

struct Scenario {
  const char* name;
  const char* what;
  void (*run)(const std::string& name, const Settings&, Report&);
};

void bulk(const std::string&, const Settings&, Report&);
void bulk_gcm(const std::string&, const Settings&, Report&);
void bulk_long(const std::string&, const Settings&, Report&);  // "long-MILLISECONDS"
void echo_under_bulk(const std::string&, const Settings&, Report&);
void with_and_without_lanes(const std::string&, const Settings&, Report&);

void open_at_once(const std::string&, const Settings&, Report&);  // "open-COUNT"
void open_far(const std::string&, const Settings&, Report&);
void idle_connections(const std::string&, const Settings&, Report&);  // "idle-COUNT"
void commands(const std::string&, const Settings&, Report&);
void sessions(const std::string&, const Settings&, Report&);
void size(const std::string&, const Settings&, Report&);
void equipment(const std::string&, const Settings&, Report&);
void memory(const std::string&, const Settings&, Report&);

}  // namespace jump::bench
