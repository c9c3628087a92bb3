// Who waits for a Host, inside it: its askers, its watchers, and the questions of its login. For host*.cpp
// alone.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/prompter.h"
#include "route/host.h"

namespace jump {

// What has failed for a reason that does not go away is tried again for them.
inline bool by_user(Host::Asker asker) {
  return asker == Host::Asker::kUser || asker == Host::Asker::kHopForUser;
}

// Asks for another host's sake.
inline bool by_hop(Host::Asker asker) {
  return asker == Host::Asker::kHop || asker == Host::Asker::kHopForUser ||
         asker == Host::Asker::kHopForUpkeep;
}

// Only keeps things as they are, and has no part in how soon: a server that drops every login would get one a
// second.
inline bool by_upkeep(Host::Asker asker) {
  return asker == Host::Asker::kUpkeep || asker == Host::Asker::kHopForUpkeep;
}

// One acquire() that has not been answered.
class Host::Waiter final : public Operation {
 public:
  Waiter(Host& host, Asker asker, Duration timeout, Acquired done)
      : host_(&host),
        asker_(asker),
        number_(++host.last_waiter_),
        joined_(host.state_ == State::kResolving || host.state_ == State::kConnecting),
        since_(host.io_.now()),
        done_(std::move(done)) {
    place_ = host.waiters_.insert(host.waiters_.end(), this);
    timer_ = host.io_.timer([this] {
      std::string message = host_->title_ + " was not connected in time";
      if (host_->last_error_ && host_->error_time_ >= since_)
        message += " (" + host_->last_error_->message + ")";
      answer(Error{Errc::kTimeout, std::move(message), {}});
    });
    timer_->start(timeout);
  }
  ~Waiter() override {
    if (host_) host_->waiters_.erase(place_);
  }

  // The asker may destroy this from within `done`.
  void answer(Result<Mux*> result) {
    host_->waiters_.erase(place_);
    host_ = nullptr;
    timer_->stop();
    Acquired done = std::move(done_);
    done(std::move(result));
  }

  Asker asker() const { return asker_; }
  // It came to a login that others had begun, and after what that asked in vain.
  bool came_late() const { return by_user(asker_) && joined_ && number_ > host_->missed_by_; }
  void begins_anew() { joined_ = false; }
  // It came when the hop had ended and the host had not heard of that, or may have: it wants the next
  // connection.
  void comes_after_break() { after_break_ = true; }
  bool after_break() const { return after_break_; }
  // The host has heard. True: a user who came like that.
  bool break_was_heard() {
    if (!std::exchange(after_break_, false)) return false;
    joined_ = false;
    return by_user(asker_);
  }

 private:
  Host* host_;  // null once answered
  const Asker asker_;
  const std::uint64_t number_;
  bool joined_;
  bool after_break_ = false;
  const TimePoint since_;
  std::list<Waiter*>::iterator place_;
  Acquired done_;
  std::unique_ptr<Timer> timer_;
};

// One watch(). It may outlive the host.
class Host::Watcher final : public Operation {
 public:
  Watcher(Host& host, std::function<void()> connected)
      : host_(&host), soon_(host.io_.deferred(std::move(connected))) {
    place_ = host.watchers_.insert(host.watchers_.end(), this);
  }
  ~Watcher() override {
    if (host_) host_->watchers_.erase(place_);
  }
  void tell() { soon_->schedule(); }
  void leave() { host_ = nullptr; }

 private:
  Host* host_;  // null once it has gone
  std::list<Watcher*>::iterator place_;
  const std::unique_ptr<Deferred> soon_;
};

// Waits until no other login of the same bastion is under way; mostly it is withdrawn before.
class Host::HeldQuestion final : public Operation {
 public:
  HeldQuestion(Host& host, Prompter& asking, Question question, Prompter::Answered done)
      : host_(host), asking_(asking), question_(std::move(question)), done_(std::move(done)) {
    timer_ = host.io_.timer([this] { look(); });
    timer_->start(kHeldQuestion);
  }

 private:
  void look() {
    if (!host_.directory_.may_ask(host_)) return timer_->start(kHeldQuestion);
    asked_ = asking_.ask(std::move(question_), std::move(done_));
  }

  Host& host_;
  Prompter& asking_;
  Question question_;
  Prompter::Answered done_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Operation> asked_;
};

// Questions of the login go to whoever waits for it, and is told when one went without an answer.
class Host::Asking final : public Prompter {
 public:
  Asking(Host& host, Prompter& to) : host_(host), to_(to) {}
  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    if (!host_.directory_.may_ask(host_))
      return std::make_unique<HeldQuestion>(host_, *this, std::move(question), std::move(done));
    address(question);
    question.after_login = host_.ready();
    return to_.ask(std::move(question), [this, done = std::move(done)](Result<std::vector<Secret>> answers) {
      if (!answers && answers.error().code == Errc::kNeedsPerson) {
        host_.left_unanswered_ |= !answers.error().message.starts_with(kNobodyIsThere);
        host_.on_missed();
      }
      done(std::move(answers));
    });
  }
  void show(Question notice) override {
    address(notice);
    to_.show(std::move(notice));
  }
  void who_waits_changed() override { to_.who_waits_changed(); }

 private:
  void address(Question& question) {
    question.host = host_.title_;
    question.waited_for = [this] { return host_.names_that_wait(); };
  }

  Host& host_;
  Prompter& to_;
};

}  // namespace jump
