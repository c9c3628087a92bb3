#include "openssh/mux_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "base/safe_directory.h"

namespace jump {
namespace {

bool is_gone(const std::string& path) {
  struct stat there {};
  return ::lstat(path.c_str(), &there) != 0 && errno == ENOENT;
}

// Of the directory of a socket: blocks, for a pool thread.
Status check_directory(const std::string& path) {
  Status safe = check_safe_directory(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
  if (safe) return safe;
  Error error = safe.error();
  error.hint +=
      (error.hint.empty() ? "" : ", or ") + std::string("choose another path: jumpctl mux HOST --path PATH");
  return error;
}

// Long names would not fit a socket's address, and "a/b" is no file's name.
Status check_name(const std::string& name, const std::string& path) {
  const bool plain = !name.empty() && name.find('/') == std::string::npos && name != "." && name != "..";
  if (!plain)
    return Error{Errc::kInvalid, "'" + printable(name, 64) + "' cannot be a socket's name",
                 "choose one: jumpctl mux HOST --path PATH"};
  if (path.size() < sizeof(sockaddr_un::sun_path)) return {};
  return Error{Errc::kInvalid, path + " is too long for a socket",
               "choose a shorter one: jumpctl mux HOST --path PATH"};
}

}  // namespace

// One host's sockets, and the clients that came by them.
class MuxServer::Door final : public MuxDoor {
 public:
  Door(MuxServer& server, Host& host)
      : server_(server), host_(host), forwards_(server.services_, host.name()) {
    finish_soon_ = server.services_.io.deferred([this] { finish_if_idle(); });
  }
  ~Door() { visits_.clear(); }

  // A socket that somebody removed serves nobody: it is made again, and those of paths that are not used any
  // more make room.
  void forget(const std::string& path) {
    const auto known = listeners_.find(path);
    if (known == listeners_.end()) return;
    known->second->leave_name();
    listeners_.erase(known);
  }
  Status listen(const std::string& path) {
    if (path.starts_with(server_.directory_ + "/") && is_gone(path)) forget(path);
    if (listeners_.contains(path)) return {};
    if (listeners_.size() >= kMaxSockets)
      return Error{Errc::kLimit,
                   host_.name() + " is served at " + std::to_string(kMaxSockets) + " sockets already",
                   "remove the files of some that are not used: they are in 'jumpctl --json mux " +
                       host_.name() + "'"};
    ListenOptions options;
    options.at.path = path;
    options.own_user_only = options.takes_descriptors = true;
    auto listener = server_.services_.io.listen(
        options, [this](std::unique_ptr<ByteStream> stream) { on_accepted(std::move(stream)); });
    if (!listener) return listener.error();
    log::info("{}: served to ssh at {}", host_.name(), path);
    listeners_[path] = *std::move(listener);
    return {};
  }
  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& [path, listener] : listeners_) all.push_back(path);
    return all;
  }
  void append_to(std::vector<Served>& all) const {
    for (const auto& [path, listener] : listeners_) all.push_back({host_.name(), path, listener->sockets()});
  }
  void keep(std::unique_ptr<Operation> resolving) { resolving_ = std::move(resolving); }
  bool resolves() const { return resolving_ != nullptr; }
  // The sockets that go with what ssh_config says are these now.
  void set_way(const Route* way, std::vector<std::string> token_paths) {
    resolving_.reset();
    failed_looks_ = 0;
    way_.reset();
    if (way) way_ = *way;
    for (const std::string& path : token_paths_) {
      if (std::find(token_paths.begin(), token_paths.end(), path) == token_paths.end()) close_at(path);
    }
    token_paths_ = std::move(token_paths);
  }
  // That cannot be told: they stay what they were, until a look again. True: for the first time.
  bool look_failed() {
    resolving_.reset();
    const int doubled = std::min(failed_looks_++, 6);
    next_look_ = server_.services_.io.now() + ((1 << doubled) - 1) * kMendGap;
    return failed_looks_ == 1;
  }
  const std::vector<std::string>& token_paths() const { return token_paths_; }
  bool is_stale() const { return failed_looks_ > 0; }
  bool is_to_be_looked_at() const {
    return is_stale() && !resolves() && next_look_ <= server_.services_.io.now();
  }
  // All its sockets in `directory` are where they were made. Elsewhere a look may hang, on a file server.
  bool is_whole_in(const std::string& directory) const {
    return std::none_of(listeners_.begin(), listeners_.end(), [&directory](const auto& each) {
      return each.first.starts_with(directory + "/") && is_gone(each.first);
    });
  }
  const std::optional<Route>& way() const { return way_; }
  void close_at(const std::string& path) { listeners_.erase(path); }
  bool listens_at(const std::string& path) const { return listeners_.contains(path); }
  void close_sockets_in(const std::string& directory) {
    std::erase_if(listeners_, [&](const auto& each) { return each.first.starts_with(directory + "/"); });
  }
  void close_sockets() { listeners_.clear(); }
  void leave_names() {
    for (const auto& [path, listener] : listeners_) listener->leave_name();
  }
  void resize_all() {
    for (const auto& visit : visits_) visit->resize();
  }
  void end_visits(const Error& reason) {
    const auto all = visits_;  // one may go while it ends
    for (const auto& visit : all) visit->end(reason);
  }
  std::size_t visits() const { return visits_.size(); }
  std::size_t undecided() const {
    return static_cast<std::size_t>(std::count_if(visits_.begin(), visits_.end(),
                                                  [](const auto& visit) { return visit->may_ask_more(); }));
  }
  std::size_t proxies() const {
    return static_cast<std::size_t>(
        std::count_if(visits_.begin(), visits_.end(), [](const auto& visit) { return visit->has_proxy(); }));
  }

  // MuxDoor
  Host& host() override { return host_; }
  MuxForwards& forwards() override { return forwards_; }
  void exit() override {
    stopping_ = true;
    forwards_.cancel_all();
    end_visits(Error{Errc::kClosed, "ended by ssh -O exit", {}});
    finish_soon_->schedule();
  }
  void stop() override {
    stopping_ = true;
    finish_soon_->schedule();
  }
  void remove(MuxVisit& visit) override {
    std::shared_ptr<MuxVisit> last = std::move(*visit.place);
    visits_.erase(visit.place);
    server_.services_.io.dispose(std::move(last));
    if (stopping_) finish_soon_->schedule();  // when its session has left the book
  }

 private:
  void on_accepted(std::unique_ptr<ByteStream> stream) {
    if (server_.clients() >= kMaxClients) {
      server_.counters_.over_limit++;
      log::warn("{}: more than {} clients of ssh; one was turned away", host_.name(), kMaxClients);
      return;
    }
    server_.counters_.clients_total++;
    auto visit = std::make_shared<MuxVisit>(server_.services_, *this, std::move(stream));
    visit->place = visits_.insert(visits_.end(), visit);
    visit->start();
  }

  // After `-O stop` the master would end with its last session; after `-O exit` all are about to end.
  void finish_if_idle() {
    const bool busy =
        std::any_of(visits_.begin(), visits_.end(), [](const auto& each) { return each->busy(); });
    if (!stopping_ || busy) return;
    stopping_ = false;
    forwards_.cancel_all();
    disconnect();
  }

  // Unless somebody else uses the connection.
  void disconnect() {
    for (const auto& [id, facts] : server_.services_.book.all()) {
      if (facts.host == host_.name() && facts.state != "ending") return;
    }
    if (forwards_.others_want(host_)) return;
    (void)server_.services_.hosts.disconnect(host_.name(),
                                             Error{Errc::kClosed, "disconnected by ssh -O exit", {}});
  }

  MuxServer& server_;
  Host& host_;
  MuxForwards forwards_;
  std::map<std::string, std::unique_ptr<Listener>> listeners_;  // by path
  std::list<std::shared_ptr<MuxVisit>> visits_;
  std::unique_ptr<Operation> resolving_;
  std::optional<Route> way_;  // as ssh_config had it when it was last looked at
  std::vector<std::string> token_paths_;
  int failed_looks_ = 0;  // at what it says, in a row
  TimePoint next_look_{};
  std::unique_ptr<Deferred> finish_soon_;
  bool stopping_ = false;  // `-O stop` or `-O exit` was said
};

MuxServer::MuxServer(MuxServices services, std::string directory)
    : services_(std::move(services)), directory_(std::move(directory)) {
  mend_timer_ = services_.io.timer([this] { mend(); });
}

MuxServer::~MuxServer() = default;

Result<MuxServer::Door*> MuxServer::door(const std::string& host) {
  const auto known = doors_.find(host);
  if (known != doors_.end()) return known->second.get();
  if (doors_.size() >= kMaxHosts)
    return Error{
        Errc::kLimit, "more than " + std::to_string(kMaxHosts) + " hosts are served to ssh already", {}};
  Result<Host*> found = services_.hosts.get(host);
  if (!found) return found.error();
  return (doors_[host] = std::make_unique<Door>(*this, **found)).get();
}

Status MuxServer::make_directory() {
  if (::mkdir(directory_.c_str(), 0700) == 0) return {};
  struct stat there {};
  const bool is_ours = errno == EEXIST && ::lstat(directory_.c_str(), &there) == 0 &&
                       S_ISDIR(there.st_mode) && there.st_uid == geteuid() && (there.st_mode & 022) == 0;
  if (is_ours) return {};
  return Error{Errc::kRefused,
               directory_ + " cannot be used for sockets: it has to be a directory of yours alone",
               "remove it: rm -r " + directory_};
}

Result<std::string> MuxServer::serve(const std::string& host) {
  const std::string path = directory_ + "/" + host;
  if (Status name = check_name(host, path); !name) return name.error();
  if (Status directory = make_directory(); !directory) return directory.error();
  if (Status served = serve_at(host, path); !served) return served.error();
  return path;
}

Status MuxServer::serve_at(const std::string& host, const std::string& path) {
  if (stopped_) return Error{Errc::kClosed, "the agent is ending", {}};
  if (path.empty() || path.front() != '/')
    return Error{Errc::kInvalid, "'" + printable(path, 64) + "' is no absolute path", {}};
  for (const auto& [name, each] : doors_) {
    if (name != host && each->listens_at(path))
      return Error{Errc::kInUse, path + " is where " + name + " is served", "choose another path"};
  }
  Result<Door*> made = door(host);
  if (!made) return made.error();
  return (*made)->listen(path);
}

void MuxServer::serve_where_asked(const std::string& host, const std::string& path,
                                  std::function<void(Status)> done) {
  if (path.empty() || path.front() != '/') return done(serve_at(host, path));
  struct Look {
    std::vector<std::string> paths;  // of the host, out of our hands
    std::vector<std::string> gone;   // of these
    Status directory;
  };
  auto look = std::make_shared<Look>();
  for (const std::string& each : paths(host)) {
    if (!each.starts_with(directory_ + "/")) look->paths.push_back(each);
  }
  const auto place = looks_.insert(looks_.end(), nullptr);
  *place = services_.io.in_pool(
      [look, path] {
        look->directory = check_directory(path);
        std::copy_if(look->paths.begin(), look->paths.end(), std::back_inserter(look->gone), is_gone);
      },
      [this, look, host, path, place, done = std::move(done)] {
        looks_.erase(place);
        if (!look->directory) return done(look->directory);
        if (const auto known = doors_.find(host); known != doors_.end()) {
          for (const std::string& each : look->gone) known->second->forget(each);
        }
        done(serve_at(host, path));
      });
}

void MuxServer::serve_by_tokens(const std::string& host) {
  const auto known = doors_.find(host);
  const Result<HostName> name = HostName::parse(host);
  if (known == doors_.end() || !name) return;
  known->second->keep(services_.hosts.resolve(
      host, [this, host, name = name->host](const Result<Route>& way) { on_way(host, name, way); }));
}

void MuxServer::on_way(const std::string& host, const std::string& name, const Result<Route>& way) {
  Door& its_door = *doors_.at(host);
  if (!way) {
    mend_timer_->start(kMendGap);
    if (its_door.look_failed())
      log::warn("{}: what ssh_config says of it cannot be told: {}; ssh finds it where it did before", host,
                way.error().message);
    if (!its_door.token_paths().empty()) (void)serve_at(host, its_door.token_paths().front());
    return settle();
  }
  const HopSpec& spec = way->target();
  const std::string tokens = spec.user + "@" + name + ":" + std::to_string(spec.port);
  const std::string path = directory_ + "/" + tokens;
  its_door.set_way(&*way, {path, directory_ + "/" + spec.connection_hash});
  Status served = check_name(tokens, path);
  if (served) served = serve_at(host, path);
  if (!served) log::info("{}: not served to ssh at %r@%n:%p: {}", host, served.error().message);
  settle();
}

bool MuxServer::settled() const {
  return std::none_of(doors_.begin(), doors_.end(), [](const auto& each) { return each.second->resolves(); });
}

void MuxServer::settle() {
  if (!settled()) return;
  settle_hashes();
  if (on_settled_) on_settled_();
}

// When it is known of all what %C is for them: until then nobody is served where somebody else may be meant.
void MuxServer::settle_hashes() {
  std::map<std::string, std::vector<std::pair<std::string, Door*>>> meant;  // by path
  for (const auto& [host, each] : doors_) {
    if (!each->way()) continue;
    const std::string& hash = each->way()->target().connection_hash;
    if (!hash.empty() && hash.find('/') == std::string::npos)
      meant[directory_ + "/" + hash].emplace_back(host, each.get());
  }
  for (const auto& [path, hosts] : meant) {
    const auto& [first, first_door] = hosts.front();
    // Of a host whose last look failed it is not known whether it is the same still.
    const auto other = std::find_if(hosts.begin() + 1, hosts.end(), [door = first_door](const auto& each) {
      return door->is_stale() || each.second->is_stale() ||
             !door->way()->same_connections(*each.second->way());
    });
    if (other != hosts.end()) {
      for (const auto& [host, each] : hosts) each->close_at(path);
      if (!ambiguous_.insert(path).second) continue;
      log::warn(
          "{} and {} are one %C to ssh, and not the same connection, for all that is known: neither is "
          "served there; %r@%n:%p tells them apart",
          first, other->first);
      continue;
    }
    ambiguous_.erase(path);
    // Another name of the same connection may have it.
    const auto having = std::find_if(hosts.begin(), hosts.end(), [&path = path](const auto& each) {
      return each.second->listens_at(path);
    });
    const std::string& host = having != hosts.end() ? having->first : first;
    if (Status served = serve_at(host, path); !served)
      log::debug("{}: not served at %C: {}", host, served.error().message);
  }
}

std::vector<MuxServer::Served> MuxServer::all() const {
  std::vector<Served> list;
  for (const auto& [host, each] : doors_) each->append_to(list);
  return list;
}

std::vector<std::string> MuxServer::paths(const std::string& host) const {
  const auto known = doors_.find(host);
  if (known == doors_.end()) return {};
  std::vector<std::string> all = known->second->paths();
  std::stable_partition(all.begin(), all.end(),
                        [&](const std::string& path) { return path == directory_ + "/" + host; });
  return all;
}

void MuxServer::set_configured(const std::vector<std::string>& hosts) {
  const std::set<std::string> wanted(hosts.begin(), hosts.end());
  for (const std::string& host : configured_) {
    const auto known = doors_.find(host);
    if (wanted.contains(host) || known == doors_.end()) continue;
    known->second->close_sockets_in(directory_);
    known->second->set_way(nullptr, {});
  }
  configured_.clear();
  for (const std::string& host : wanted) {
    configured_.insert(host);
    if (Result<std::string> served = serve(host); !served)
      log::error("{} is not served to ssh: {}", host, served.error().message);
  }
  for (const auto& [host, each] : doors_) {
    if (each->listens_at(directory_ + "/" + host)) serve_by_tokens(host);
  }
  plan_mending();
  if (settled() && on_settled_) on_settled_();
}

void MuxServer::plan_mending() {
  const bool stale =
      std::any_of(doors_.begin(), doors_.end(), [](const auto& each) { return each.second->is_stale(); });
  configured_.empty() && !stale ? mend_timer_->stop() : mend_timer_->start(kMendGap);
}

void MuxServer::mend() {
  for (const auto& [host, each] : doors_) {
    if (each->is_to_be_looked_at() && each->listens_at(directory_ + "/" + host)) serve_by_tokens(host);
  }
  for (const std::string& host : configured_) {
    const auto known = doors_.find(host);
    const bool whole = known != doors_.end() && known->second->is_whole_in(directory_);
    if (whole && known->second->listens_at(directory_ + "/" + host)) continue;
    if (!serve(host)) continue;  // said when it was to be served first
    log::info("{}: served to ssh again", host);
    serve_by_tokens(host);
  }
  plan_mending();
}

void MuxServer::resize_all() {
  for (const auto& [host, each] : doors_) each->resize_all();
}

void MuxServer::stop_listening() {
  stopped_ = true;
  mend_timer_->stop();
  looks_.clear();
  for (const auto& [host, each] : doors_) {
    each->keep(nullptr);
    each->close_sockets();
  }
}

void MuxServer::leave_names() {
  for (const auto& [host, each] : doors_) each->leave_names();
}

void MuxServer::end_all(const Error& reason) {
  for (const auto& [host, each] : doors_) each->end_visits(reason);
}

std::size_t MuxServer::clients() const {
  std::size_t sum = 0;
  for (const auto& [host, each] : doors_) sum += each->visits();
  return sum;
}

std::size_t MuxServer::undecided() const {
  std::size_t sum = 0;
  for (const auto& [host, each] : doors_) sum += each->undecided();
  return sum;
}

std::size_t MuxServer::proxy_clients() const {
  std::size_t sum = 0;
  for (const auto& [host, each] : doors_) sum += each->proxies();
  return sum;
}

}  // namespace jump
