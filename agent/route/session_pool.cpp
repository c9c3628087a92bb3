#include "route/session_pool.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace jump {
namespace {

std::string allowance(std::size_t sessions) {
  return "the server allows " + std::to_string(sessions) + (sessions == 1 ? " session" : " sessions") +
         " on one connection";
}

}  // namespace

// One ask() that has not been answered.
class SessionPool::Waiter final : public Operation {
 public:
  Waiter(SessionPool& pool, std::string agent_socket, MakeClaim make_claim, Placed done)
      : pool_(&pool),
        agent_socket_(std::move(agent_socket)),
        make_claim_(std::move(make_claim)),
        done_(std::move(done)),
        since_(pool.io_.now()) {
    place_ = pool.waiters_.insert(pool.waiters_.end(), this);
  }
  ~Waiter() override {
    if (pool_) pool_->waiters_.erase(place_);
  }
  // The asker may destroy this from within `done`.
  void answer(Result<Place> result) {
    pool_->waiters_.erase(place_);
    pool_ = nullptr;
    Placed done = std::move(done_);
    done(std::move(result));
  }
  const std::string& agent_socket() const { return agent_socket_; }
  TimePoint since() const { return since_; }
  Claim make_claim(Mux& mux) const { return make_claim_(mux); }

 private:
  SessionPool* pool_;  // null once answered
  const std::string agent_socket_;
  const MakeClaim make_claim_;
  Placed done_;
  const TimePoint since_;
  std::list<Waiter*>::iterator place_;
};

SessionPool::SessionPool(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention, Source& source,
                         std::function<void()> changed)
    : io_(io),
      budget_(budget),
      contention_(std::move(contention)),
      source_(source),
      changed_(std::move(changed)),
      serve_soon_(io.deferred([this] { serve(); })),
      look_timer_(io.timer([this] { serve(); })) {}

SessionPool::~SessionPool() { end(Error{Errc::kClosed, "the agent is shutting down", {}}); }

std::unique_ptr<Operation> SessionPool::ask(const std::string& agent_socket, MakeClaim make_claim,
                                            Placed done) {
  auto waiter = std::make_unique<Waiter>(*this, agent_socket, std::move(make_claim), std::move(done));
  serve_soon_->schedule();
  return waiter;
}

// --- which connection
// -------------------------------------------------------------------------------------------

bool SessionPool::fits(const Mux& mux, const std::string& agent_socket) {
  if (mux.ended()) return false;
  if (limit_) limit_ = std::max(*limit_, mux.most_sessions());
  if (limit_ && mux.sessions() >= *limit_ + (limit_is_certain_ ? 0 : 1)) return false;
  std::erase_if(full_, [now = io_.now()](const Full& full) { return now >= full.until; });
  if (std::any_of(full_.begin(), full_.end(), [&](const Full& full) { return full.mux == &mux; }))
    return false;
  if (agent_socket.empty()) return true;
  std::erase_if(uses_, [](const Use& use) { return use.claim.expired(); });
  return std::none_of(uses_.begin(), uses_.end(),
                      [&](const Use& use) { return use.mux == &mux && use.agent_socket != agent_socket; });
}

Mux* SessionPool::with_room(const std::string& agent_socket) {
  Mux* first = source_.first_connection();
  if (first && fits(*first, agent_socket)) return first;
  for (const auto& lane : further_) {
    Hop* hop = lane->ready();
    if (hop && !hop->in_doubt() && fits(hop->mux(), agent_socket)) return &hop->mux();
  }
  return nullptr;
}

SessionPool::Place SessionPool::take(Mux& mux, const Waiter& waiter) {
  if (waiter.agent_socket().empty()) return {&mux, nullptr};
  for (const Use& use : uses_) {
    if (use.mux != &mux) continue;
    if (Claim shared = use.claim.lock()) return {&mux, std::move(shared)};
  }
  Claim claim = waiter.make_claim(mux);
  uses_.push_back({&mux, waiter.agent_socket(), claim});
  return {&mux, std::move(claim)};
}

// Answers those for whom there is room, and has a connection dialled for the next.
void SessionPool::serve() {
  while (!waiters_.empty()) {
    if (!source_.first_connection() && further_.empty())
      return refuse_all(Error{Errc::kClosed, "the connection has ended", {}});
    // Whoever is answered may withdraw others, so each is looked for anew.
    auto next = std::find_if(waiters_.begin(), waiters_.end(),
                             [this](const Waiter* waiter) { return with_room(waiter->agent_socket()); });
    if (next == waiters_.end()) break;
    Mux* mux = with_room((*next)->agent_socket());
    (*next)->answer(take(*mux, **next));
  }
  if (!waiters_.empty()) dial();
}

// --- further connections
// ----------------------------------------------------------------------------------------

Error SessionPool::too_many(const Error& why) const {
  std::string message =
      limit_ ? allowance(*limit_) : "another client's ssh-agent is forwarded on the connection";
  return Error{why.code, message + ", and there is no other: " + why.message,
               why.hint.empty() ? "end some of them, or ask for a higher MaxSessions there" : why.hint};
}

bool SessionPool::dial() {
  std::erase_if(further_, [this](const std::unique_ptr<Lane>& lane) {
    const bool gone = lane->state() == Lane::State::kNone && !lane->last_error();
    if (gone) past_logins_ += lane->logins();
    return gone;
  });
  for (const auto& lane : further_) {
    if (lane->state() == Lane::State::kDialling) return true;
  }
  if (std::optional<Error> why = source_.no_further()) {
    why->code == Errc::kLimit ? wait_for_room(too_many(*why)) : refuse_all(*why);
    return false;
  }
  Lane* idle = nullptr;
  for (const auto& lane : further_) {
    if (lane->state() != Lane::State::kNone) continue;
    if (!lane->may_open()) {  // it failed a moment ago
      wait_for_room(too_many(*lane->last_error()));
      return false;
    }
    idle = lane.get();
  }
  if (!idle && further_.size() >= kMaxFurther) {
    wait_for_room(too_many(
        Error{Errc::kLimit, std::to_string(kMaxFurther) + " further connections are in use already", {}}));
    return false;
  }
  if (!idle) {
    further_.push_back(std::make_unique<Lane>(io_, budget_, contention_, changed_));
    idle = further_.back().get();
  }
  source_.dial_further(*idle);
  return true;
}

// Sessions end all the time, and a server counts one a moment longer than its user does.
void SessionPool::wait_for_room(const Error& error) {
  const auto patient = [this](const Waiter* waiter) { return io_.now() - waiter->since() < kRoomTime; };
  for (auto left = waiters_.size(); left > 0; --left) {
    const auto next = std::find_if_not(waiters_.begin(), waiters_.end(), patient);
    if (next == waiters_.end()) break;
    (*next)->answer(error);
  }
  if (!waiters_.empty()) look_timer_->start(kLookGap);
}

void SessionPool::update() {
  const auto dialling = [](const std::unique_ptr<Lane>& lane) {
    return lane->state() == Lane::State::kDialling;
  };
  const bool was_dialling = std::any_of(further_.begin(), further_.end(), dialling);
  for (const auto& lane : further_) lane->update();
  if (was_dialling && std::none_of(further_.begin(), further_.end(), dialling)) serve_soon_->schedule();
  if (!source_.first_connection()) serve_soon_->schedule();
}

Status SessionPool::refused(Mux& mux) {
  const std::size_t allowed = mux.confirmed_sessions();
  if (mux.most_sessions() == 0)
    return Error{Errc::kRefused, "the server allows no sessions (MaxSessions 0?)",
                 "forwards may work all the same: jumpctl forward"};
  full_.push_back({&mux, io_.now() + kFullTime});
  const std::size_t limit = std::max({limit_.value_or(1), allowed, mux.most_sessions()});
  if (limit_ != limit) log::info("{}", allowance(limit));
  limit_ = limit;
  limit_is_certain_ |= mux.past_sessions() == 0;
  return {};
}

void SessionPool::refuse_all(const Error& error) {
  // Those who ask again meanwhile are not answered here.
  for (auto left = waiters_.size(); left > 0 && !waiters_.empty(); --left) waiters_.front()->answer(error);
}

void SessionPool::allow() {
  limit_.reset();
  limit_is_certain_ = false;
  full_.clear();
  for (const auto& lane : further_) lane->allow();
}

void SessionPool::suspect() {
  for (const auto& lane : further_) {
    if (Hop* hop = lane->ready()) hop->suspect();
  }
}

void SessionPool::close(const Error& reason) {
  for (const auto& lane : further_) lane->close(reason);
  refuse_all(reason);
}

void SessionPool::end(const Error& reason) {
  for (const auto& lane : further_) lane->end(reason);
  refuse_all(reason);
}

std::vector<const Hop*> SessionPool::further() const {
  std::vector<const Hop*> hops;
  for (const auto& lane : further_) {
    if (lane->hop()) hops.push_back(lane->hop());
  }
  return hops;
}

std::uint64_t SessionPool::logins() const {
  std::uint64_t sum = past_logins_;
  for (const auto& lane : further_) sum += lane->logins();
  return sum;
}

}  // namespace jump
