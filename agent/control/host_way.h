// HostWay: every host that a connection to `name` may go through, itself included, as ssh_config's Host lines
// see them: without user and port. Where a name stands for several hosts (a bastion), that is all of them and
// their ways. Logs in nowhere.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "route/hosts.h"
#include "stream/io.h"

namespace jump {

class HostWay final : public Operation {
 public:
  // The nearest first. Not called from within; errors: those of Hosts::resolve() for any of them.
  using Found = std::function<void(Result<std::vector<std::string>>)>;
  // `hosts` outlives it.
  HostWay(Hosts& hosts, const std::string& name, Found done);

 private:
  void look_at(const std::string& name);
  void resolve_next();
  void on_route(const Result<Route>& route);

  Hosts& hosts_;
  Found done_;
  std::vector<std::string> to_resolve_;  // the last one is next
  std::vector<std::string> seen_;        // that have been in to_resolve_
  std::vector<std::string> way_, bastions_;
  std::unique_ptr<Operation> resolving_;
};

}  // namespace jump
