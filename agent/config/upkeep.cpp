#include "config/upkeep.h"

#include <algorithm>

#include "base/log.h"
#include "route/failure.h"

namespace jump {

// One host of `connect`, from the first attempt to the first success.
class Upkeep::Login {
 public:
  Login(Io& io, Host& host, Duration timeout)
      : host_(host), timeout_(timeout), again_(io.timer([this] { attempt(); })) {}

  void attempt() {
    attempt_ = host_.acquire(Host::Asker::kUpkeep, timeout_, [this](const Result<Mux*>& mux) {
      attempt_.reset();
      if (mux) return;
      if (mends_itself(mux.error())) {
        again_->start(pause_);
        pause_ = std::min(pause_ * 2, kLongestPause);
      } else {
        log::warn("{}, which the config file connects: {}", host_.name(), mux.error().message);
      }
    });
  }
  bool under_way() const { return attempt_ != nullptr; }

 private:
  Host& host_;
  const Duration timeout_;
  Duration pause_ = kFirstPause;
  std::unique_ptr<Operation> attempt_;
  std::unique_ptr<Timer> again_;
};

Upkeep::Upkeep(Io& io, Hosts& hosts, Forwards& forwards) : io_(io), hosts_(hosts), forwards_(forwards) {}

Upkeep::~Upkeep() = default;

void Upkeep::stop() { logins_.clear(); }

Upkeep::Outcome Upkeep::apply(const AgentConfig& before, const AgentConfig& after) {
  Outcome outcome;
  const ConfigChange change = difference(before, after);
  for (const ForwardRequest& gone : change.gone_forwards) outcome.closed += forwards_.release(gone) ? 1 : 0;
  for (const std::string& gone : change.gone_connects) {
    if (disconnect(gone)) outcome.disconnected.push_back(gone);
  }
  std::vector<std::string> wanted = after.connect;
  for (const ForwardRequest& forward : after.forwards) {
    (forwards_.keep(forward) ? outcome.opened : outcome.kept)++;
    if (forward.prewarm > 0) wanted.push_back(forward.via);  // spare channels want a connection
  }
  for (const std::string& name : wanted) {
    if (connect(name, after.login_wait)) outcome.connecting.push_back(name);
  }
  return outcome;
}

// True when a login has begun.
bool Upkeep::connect(const std::string& name, Duration timeout) {
  const Result<Host*> host = hosts_.get(name);
  if (!host) {
    log::error("{}, which the config file connects: {}", name, host.error().message);
    return false;
  }
  if ((*host)->ready()) return false;
  std::unique_ptr<Login>& login = logins_[name];
  if (login && login->under_way()) return false;
  login = std::make_unique<Login>(io_, **host, timeout);
  (*host)->forget_failure();  // what the user has changed may be what it was about
  login->attempt();
  return true;
}

// True when a connection has ended: one that nothing uses.
bool Upkeep::disconnect(const std::string& name) {
  logins_.erase(name);
  Host* host = hosts_.find(name);
  if (!host || !host->ready()) return false;
  const auto uses = [host](const WantedForward& each) { return &each.forward->host() == host; };
  const auto& forwards = forwards_.all();
  if (std::any_of(forwards.begin(), forwards.end(), uses)) return false;
  const Mux* mux = host->mux();
  if (mux && mux->open_channels() + mux->opening_channels() > 0) return false;
  // Others may go through it.
  return hosts_.disconnect(name, Error{Errc::kClosed, "the config file connects it no longer", {}}).ok();
}

}  // namespace jump
