// MuxServer: the sockets where stock ssh finds the agent, as if it were a ControlMaster. Each host that is
// served has one or several, there before anything is connected: DIRECTORY/NAME for its name, and others that
// were asked for by path.
//
//   serve() ─► Listener ─► MuxVisit per client ─► the host's connections
//
// Invariants: a host's sockets are there as long as it is to be served, whatever happens to its connection;
// what
// `-O exit` and `-O stop` end is this host's clients, what they asked for, and the connection if nobody else
// uses it; a client beyond the limit is closed at once.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "openssh/mux_forwards.h"
#include "openssh/mux_services.h"
#include "openssh/mux_visit.h"

namespace jump {

class MuxServer {
 public:
  // At once, of all hosts: most have a session of three descriptors.
  static constexpr std::size_t kMaxClients = 512;
  // Hosts, and sockets of one.
  static constexpr std::size_t kMaxHosts = 512;
  static constexpr std::size_t kMaxSockets = 64;  // each a descriptor; tools that invent paths use some

  // How often it is looked whether the sockets of the config file's hosts are there: somebody may have
  // removed one, or have been in its place.
  static constexpr Duration kMendGap = seconds(5);

  struct Counters {
    std::uint64_t clients_total = 0;
    std::uint64_t over_limit = 0;
  };

  // Sockets by name are in `directory`, which is made when it is needed (mode 0700).
  MuxServer(MuxServices services, std::string directory);
  ~MuxServer();
  MuxServer(const MuxServer&) = delete;
  MuxServer& operator=(const MuxServer&) = delete;

  // Serves `host` at its usual path. The same again is no other. Errors: kInvalid (a name that is no file's,
  // or too long), kInUse, kRefused, kLimit, those of Hosts::get().
  Result<std::string> serve(const std::string& host);
  // The same at `path`, which has to be absolute.
  Status serve_at(const std::string& host, const std::string& path);
  // The same where a user wants it, once its directory was looked at: nobody else may be able to put a socket
  // of theirs in the place of ours. `done` is called from the loop, or at once. Errors also: kRefused.
  void serve_where_asked(const std::string& host, const std::string& path, std::function<void(Status)> done);
  // Serves it, besides, once ssh has said what these are, at DIRECTORY/%r@%n:%p, a ControlPath that tells
  // users and ports apart, and at DIRECTORY/%C. That one does not tell apart what is reached by different
  // ways (ProxyCommand, HostKeyAlias …): where two hosts have the same, and it would not be the same
  // connection, neither is served there. While ssh cannot say (an ssh_config that is being edited) it is
  // served where it was, and ssh is asked again: within kMendGap, and then ever more rarely.
  void serve_by_tokens(const std::string& host);
  struct Served {
    std::string host;
    std::string path;
    std::vector<int> sockets;  // stay its own
  };
  std::vector<Served> all() const;
  const std::string& directory() const { return directory_; }
  // Where a host is served: its usual path first; empty: it is not.
  std::vector<std::string> paths(const std::string& host) const;
  // Hosts that are to be served from now on by the config file; others that are, by it, go. What ssh_config
  // says of those that are served is looked at again.
  void set_configured(const std::vector<std::string>& hosts);

  // Every terminal's size is read again: SIGWINCH, which clients send to the process that they were told of.
  void resize_all();
  // No new clients.
  void stop_listening();
  // Another agent listens there: the names stay.
  void leave_names();
  void end_all(const Error& reason);

  std::size_t clients() const;
  // Those of the proxy mode: their channels are in no other book.
  std::size_t proxy_clients() const;
  // Those that are likely to ask for something: see MuxVisit::may_ask_more().
  std::size_t undecided() const;
  // All that are to be served are, as far as ssh has said what their paths are. Each time that this may have
  // become true, `told` is called from within.
  bool settled() const;
  void on_settled(std::function<void()> told) { on_settled_ = std::move(told); }
  const Counters& counters() const { return counters_; }

 private:
  class Door;

  Result<Door*> door(const std::string& host);
  void on_way(const std::string& host, const std::string& name, const Result<Route>& way);
  void settle();
  void settle_hashes();
  void mend();
  void plan_mending();
  Status make_directory();

  const MuxServices services_;
  const std::string directory_;
  std::map<std::string, std::unique_ptr<Door>> doors_;  // by host
  std::set<std::string> configured_;
  std::unique_ptr<Timer> mend_timer_;
  std::set<std::string> ambiguous_;  // paths that several hosts mean, each another connection: it was said
  std::list<std::unique_ptr<Operation>> looks_;  // at directories of users
  Counters counters_;
  std::function<void()> on_settled_;
  bool stopped_ = false;
};

}  // namespace jump
