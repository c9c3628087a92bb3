#include "forward/persistence.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace jump {

struct Persistence::Reading {
  std::shared_ptr<Fd> lock;
  std::optional<StateFile::Loaded> loaded;
  std::optional<Error> error;
};

Persistence::Persistence(Io& io, Forwards& forwards, std::string path)
    : io_(io),
      forwards_(forwards),
      file_(std::make_shared<const StateFile>(std::move(path))),
      save_soon_(io.deferred([this] { save(); })),
      retry_timer_(io.timer([this] { lock_ ? save() : read(); })) {}

Persistence::~Persistence() = default;

Status Persistence::available() const {
  if (path().empty())
    return Error{Errc::kUnsupported, "this agent keeps no state file", "name one: jumpagent --state FILE"};
  if (unavailable_) return *unavailable_;
  if (!loaded_)
    return Error{Errc::kInUse, "the state file " + path() + " is still being read", "try again in a moment"};
  return {};
}

std::string Persistence::problem() const {
  const char* between = problem_.empty() || save_problem_.empty() ? "" : "; ";
  return problem_ + between + save_problem_;
}

void Persistence::start() {
  started_ = true;
  if (!path().empty()) read();
}

void Persistence::stop() {
  stopped_ = true;
  retry_timer_->stop();
  work_.reset();  // a write under way is done, and is whole; it keeps the lock until then
  lock_.reset();
  const Error ending{Errc::kClosed, "the agent is shutting down", {}};
  tell(ending);
  for (const auto& done : std::exchange(readers_, {})) done(ending);
}

void Persistence::read() {
  auto reading = std::make_shared<Reading>();
  auto work = [file = file_, reading] {
    Result<Fd> lock = file->lock();
    if (!lock) {
      reading->error = lock.error();
      return;
    }
    reading->lock = std::make_shared<Fd>(*std::move(lock));
    Result<StateFile::Loaded> loaded = file->load();
    if (loaded) {
      reading->loaded = *std::move(loaded);
    } else {
      reading->error = loaded.error();
    }
  };
  work_ = io_.in_pool(std::move(work), [this, reading] { take(*reading); });
}

void Persistence::take(Reading& reading) {
  work_.reset();
  if (reading.error) {
    if (!unavailable_) log::warn("no persistent forwards: {}", reading.error->message);
    unavailable_ = *reading.error;
    problem_ = reading.error->message;
    retry_timer_->start(retry_gap_);
    retry_gap_ = std::min(2 * retry_gap_, kRetryGapMax);
    return tell_readers();
  }
  unavailable_.reset();
  lock_ = std::move(reading.lock);
  problem_ = reading.loaded->problem;
  if (!problem_.empty()) log::error("state file: {}", problem_);
  generation_ = reading.loaded->saved.generation;
  for (const ForwardRequest& request : reading.loaded->saved.forwards) forwards_.restore(request);
  loaded_ = true;
  // Without a damaged file, and without any: as it is on disk.
  if (problem_.empty()) saved_ = encode_saved({0, reading.loaded->saved.forwards});
  on_changed();
  tell_readers();
}

void Persistence::when_read(std::function<void(const Status&)> done) {
  if (!is_reading()) return done(available());
  readers_.push_back(std::move(done));
}

void Persistence::tell_readers() {
  for (const auto& done : std::exchange(readers_, {})) done(available());
}

void Persistence::on_changed() {
  if (loaded_) save_soon_->schedule();
}

void Persistence::when_saved(std::function<void(const Status&)> done) {
  askers_.push_back(std::move(done));
  save_soon_->schedule();
}

void Persistence::save() {
  if (stopped_) return tell(Error{Errc::kClosed, "the agent is shutting down", {}});
  if (Status possible = available(); !possible) return tell(possible);
  if (work_) {
    dirty_ = true;
    return;
  }
  SavedForwards wanted{0, forwards_.persistent()};
  std::string text = encode_saved(wanted);
  if (text == saved_) return tell({});
  wanted.generation = ++generation_;
  auto outcome = std::make_shared<Status>();
  // The lock goes along: a write that outlives this agent's loop still has the file to itself.
  auto work = [file = file_, lock = lock_, wanted = std::move(wanted), outcome] {
    *outcome = file->save(wanted);
  };
  work_ = io_.in_pool(std::move(work), [this, outcome, text = std::move(text)]() mutable {
    work_.reset();
    if (*outcome) {
      saved_ = std::move(text);
      save_problem_.clear();
    } else {
      std::string problem = "the persistent forwards were not saved: " + outcome->error().message;
      if (problem != save_problem_) log::error("{}", problem);  // not at each try
      save_problem_ = std::move(problem);
      retry_timer_->start(kSaveRetryGap);
    }
    if (std::exchange(dirty_, false)) return save();
    tell(*outcome);
  });
}

void Persistence::tell(const Status& outcome) {
  for (const auto& done : std::exchange(askers_, {})) done(outcome);
}

}  // namespace jump
