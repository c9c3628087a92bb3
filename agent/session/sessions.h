// Sessions: the book of all sessions and streams of clients, whoever serves them: how many there are, what
// they are doing, and how they are told to end. It owns none.
//
// Invariant: a Membership is in the book from join() to its destruction, under an id that is never used
// again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jump {

struct SessionFacts {
  std::string kind;   // shell command subsystem stream
  std::string host;   // whose connection carries it
  std::string what;   // the command, the subsystem, the target
  std::string state;  // waiting opening running ending
  bool terminal = false;
  std::uint64_t client = 0;  // 0: none, it is detached
  std::uint64_t bytes_in = 0, bytes_out = 0;
  TimePoint since;
};

class Sessions {
 public:
  // At once. Each is three descriptors of the 1,024 that a process has in most places, until the limit is
  // raised.
  static constexpr std::size_t kMaxSessions = 1000;

  class Member {
   public:
    virtual SessionFacts facts() const = 0;
    // The agent ends. It may leave the book from within.
    virtual void end_now(const Error& reason) = 0;

   protected:
    ~Member() = default;
  };
  class Membership {
   public:
    Membership(Sessions& book, std::uint64_t number) : book_(&book), number_(number) {}
    ~Membership() { book_->leave(number_); }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;
    std::string id() const { return "s" + std::to_string(number_); }

   private:
    Sessions* book_;
    const std::uint64_t number_;
  };

  // `member` outlives the Membership. Errors: kLimit.
  Result<std::unique_ptr<Membership>> join(Member& member);
  // From within, a note is all that is to be made of it.
  void on_changed(std::function<void()> changed) { changed_ = std::move(changed); }
  void changed() const {
    if (changed_) changed_();
  }

  // What is open to a host, sessions and forwards, as text for people: lines with CRLF.
  void on_listing(std::function<std::string(const std::string& host)> list) { list_ = std::move(list); }
  std::string listing(const std::string& host) const { return list_ ? list_(host) : std::string(); }

  // In the order of their coming.
  std::vector<std::pair<std::string, SessionFacts>> all() const;
  void end_all(const Error& reason);

  std::size_t count() const { return members_.size(); }
  std::uint64_t total() const { return last_; }
  std::uint64_t refused() const { return refused_; }
  // Bytes of those that are there.
  std::uint64_t moved() const;

 private:
  void leave(std::uint64_t number);

  std::function<void()> changed_;
  std::function<std::string(const std::string&)> list_;
  std::map<std::uint64_t, Member*> members_;
  std::uint64_t last_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace jump
