// Takeover: the new agent's side of an upgrade (handover.h is the old one's). Blocks: it runs before the new
// agent's loop does.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "ctl/client.h"
#include "proto/messages.h"
#include "stream/io.h"

namespace jump {

struct Inheritance {
  struct Forward {
    proto::HandedForward wish;
    std::vector<Fd> sockets;  // that listen already
  };
  // From an agent, whose place we take; else from a service manager, which keeps the name of its socket.
  bool from_agent = false;
  std::vector<Fd> control;
  std::vector<Forward> forwards;
  struct Mux {
    std::string host, path;
    std::vector<Fd> sockets;
  };
  std::vector<Mux> mux;
  // What an agent before gave a service manager to keep: see Safekeeping. Where a wish from above, the config
  // file or the state file asks for that place, it is there.
  struct Kept {
    std::string name;
    Endpoint at;
    std::vector<Fd> sockets;
  };
  std::vector<Kept> kept;
  using KeptNames = std::map<std::string, std::vector<ino_t>>;  // and the files behind them
  KeptNames kept_names;
  std::vector<std::string> attended, unattended;  // hosts whose login takes a person, and takes none
  std::uint64_t wishes = 0;                       // the generation of them
};

class Takeover {
 public:
  // From the agent that serves `socket_path`. It serves on until finish(). Errors: kUnreachable (none runs),
  // kUnsupported (it is too old for this), and others; nothing has changed then.
  static Result<Takeover> begin(const std::string& socket_path);

  // Once.
  Inheritance take() { return std::move(inheritance_); }
  // We serve: the old agent stops. Errors: kRefused, it serves on, and this one must not. Where it gives no
  // answer it has gone, or its last words are of no importance.
  Result<proto::AgentRetireResult> finish();
  int old_pid() const { return client_.agent().pid; }
  std::uint64_t held() const { return held_; }

 private:
  explicit Takeover(ctl::Client client) : client_(std::move(client)) {}

  ctl::Client client_;
  Inheritance inheritance_;
  std::uint64_t held_ = 0;
};

}  // namespace jump
