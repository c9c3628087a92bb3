// Interactions: the Prompter behind the control socket. A question becomes a notification to clients that
// said they can answer; one of them claims it, and its person's answers go back to whoever asks.
//
//   ask() ─► "interaction" ─► a client ─► claim() ─► respond() / decline() ─► done()
//
// Who is offered a question: the client that has waited longest for any of the hosts that wait for the answer
// (its request caused the login, or joined it, or needs a login behind it); without one, every client that
// subscribed. That is looked at anew whenever a client comes, goes or waits for something else, and whenever
// the hosts that wait are others: when the one that was asked goes, the next is asked; when there is none
// left, nobody is there: kNeedsPerson. A client that has many questions before it gets the next one when it
// is done with one.
//
// Invariants: a question is offered to clients that can answer only, and answered by one; a client that was
// offered it hears of its end, unless it ended it; nobody is asked who has nothing to do with the login,
// unless it subscribed; done() is called from the loop, once, and never after its Operation is gone; no
// answer is kept here, logged, or told to another client.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "auth/prompter.h"
#include "proto/messages.h"
#include "stream/io.h"

namespace jump {

class Interactions final : public Prompter {
 public:
  // Questions of all logins together: more is a runaway. And those that one client has before it, as a person
  // answers one at a time; more of them wait here.
  static constexpr std::size_t kMaxPending = 64;
  static constexpr std::size_t kMaxPerClient = 16;
  // One answer: several times the longest passphrase that OpenSSH reads.
  static constexpr std::size_t kMaxAnswer = 8 * 1024;
  // Each text of a question, most of which a server wrote; what is longer is cut.
  static constexpr std::size_t kMaxText = 16 * 1024;

  // What a client says about why its person could not be asked.
  static constexpr std::size_t kMaxReason = 512;
  // After a login, who waited for it is asked what it brings (new host keys), which comes at once.
  static constexpr Duration kRemembered = seconds(10);
  static constexpr std::size_t kMaxRemembered = 256;

  // `io` outlives this, and this outlives everything that it returns.
  explicit Interactions(Io& io);
  ~Interactions() override;
  Interactions(const Interactions&) = delete;
  Interactions& operator=(const Interactions&) = delete;

  std::unique_ptr<Operation> ask(Question question, Answered done) override;
  void show(Question notice) override;
  void who_waits_changed() override { offer_soon_->schedule(); }

  // --- clients ---
  using ClientId = std::uint64_t;
  using Notify = std::function<void(const std::string& line)>;
  enum class Scope { kOwnRequests, kAll };
  // From now on the client can be asked, until the operation is destroyed. Null when it could be before.
  std::unique_ptr<Operation> join(ClientId client, Scope scope, Notify notify);
  // The client waits for `host` as long as the operation lives. `declined`: its person did not want to answer
  // what that login asks; the question goes on to others who wait.
  using Declined = std::function<void(const Error&)>;
  std::unique_ptr<Operation> wait(ClientId client, std::string host, Declined declined = {});

  // --- what clients say; errors: kNotFound (no such question, any more), kInUse (claimed by another),
  //     kRefused (not this client's), kInvalid, kLimit ---
  Result<proto::Interaction> claim(ClientId client, const std::string& id);
  Status respond(ClientId client, const std::string& id, std::vector<Secret> answers);
  // The client's own requests that wait for the answer fail, and the next that waits is asked; when there is
  // none, the question ends.
  // `why`: the client could not ask its person ("jumpctl cannot run …"); empty: the person said no.
  Status decline(ClientId client, const std::string& id, const std::string& why = {});

  // --- for status ---
  // Hears, from within, that what is asked is no longer the same.
  void on_changed(std::function<void()> changed) { changed_ = std::move(changed); }
  std::vector<proto::InteractionStatus> pending() const;
  // The names of hosts whose logins wait for a person.
  std::set<std::string> hosts_that_wait() const;
  bool asks_about(const std::string& host) const { return hosts_that_wait().contains(host); }

 private:
  class Undo;
  struct Client {
    Scope scope = Scope::kOwnRequests;
    Notify notify;
  };
  struct Waiting {
    ClientId client;
    std::string host;
    Declined declined;
  };
  struct Waited {
    ClientId client;
    std::string host;
    TimePoint until;
  };
  struct Pending {
    std::string id;
    Question question;
    Answered done;
    TimePoint since;
    std::vector<ClientId> waited;  // for the login, when it was asked after it
    std::set<ClientId> offered;
    std::set<ClientId> declined;      // not to be asked again
    std::optional<ClientId> claimer;  // then offered holds it alone
    std::unique_ptr<Timer> timer;
    std::optional<TimePoint> deadline;                   // since it was first put to anybody
    std::optional<Result<std::vector<Secret>>> outcome;  // the next deliver() tells it
  };

  void leave(ClientId client);
  void stop_waiting(std::list<Waiting>::iterator place);
  void withdraw(const std::string& id);
  void on_timeout(const std::string& id);

  void offer_all();
  void offer(Pending& pending);
  void offer_to(Pending& pending, ClientId client);
  void take_from(Pending& pending, ClientId client, const char* reason);
  void finish(Pending& pending, Result<std::vector<Secret>> outcome, const char* reason);
  void deliver();
  bool pass_on(Pending& pending, ClientId client, const Error& declined);

  Pending* find(const std::string& id);
  Result<Pending*> find_for(ClientId client, const std::string& id);
  bool has_room(ClientId client) const;
  std::vector<ClientId> who_waits(const Question& question) const;
  std::vector<ClientId> who_waited(const Question& question) const;
  std::vector<ClientId> subscribers() const;
  std::string waited_host(const Question& question, std::optional<ClientId> client) const;
  proto::Interaction describe(const Pending& pending, ClientId client) const;

  Io& io_;
  std::unique_ptr<Deferred> deliver_soon_;
  std::unique_ptr<Deferred> offer_soon_;
  std::map<ClientId, Client> clients_;  // that can answer
  std::list<Waiting> waiting_;          // in the order of their coming
  std::list<Waited> waited_;            // no longer, since a moment ago; in the order of their going
  std::list<Pending> pending_;          // in the order of asking
  std::function<void()> changed_ = [] {};
  std::uint64_t last_id_ = 0;
};

}  // namespace jump
