// Interactions: the Prompter behind the control socket. A question becomes a notification to clients that
// said they can answer; one of them claims it, and its person's answers go back to whoever asks.
//
//   ask() ─► "interaction" ─► a client ─► claim() ─► respond() / decline() ─► done()
//
// Who is offered a question: the client that has waited longest for that host (its request caused the login,
// or joined it); without one, every client that subscribed. When the one that was asked goes, the next is
// asked; when there is none left, nobody is there: kNeedsPerson.
//
// Invariants: a question is offered to clients that can answer only, and answered by one; a client that was
// offered it hears of its end, unless it ended it; done() is called from the loop, once, and never after its
// Operation is gone; no answer is kept here, logged, or told to another client.
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
  // Questions of all logins together, and of those that one client has before it. A person answers one at a
  // time: more than this is a runaway.
  static constexpr std::size_t kMaxPending = 64;
  static constexpr std::size_t kMaxPerClient = 16;
  // One answer: several times the longest passphrase that OpenSSH reads.
  static constexpr std::size_t kMaxAnswer = 8 * 1024;
  // Each text of a question, most of which a server wrote; what is longer is cut.
  static constexpr std::size_t kMaxText = 16 * 1024;

  // `io` outlives this, and this outlives everything that it returns.
  explicit Interactions(Io& io);
  ~Interactions() override;
  Interactions(const Interactions&) = delete;
  Interactions& operator=(const Interactions&) = delete;

  std::unique_ptr<Operation> ask(Question question, Answered done) override;
  // To those that a question of that hop would go to.
  void show(std::string hop, std::string text) override;

  // --- clients ---
  using ClientId = std::uint64_t;
  using Notify = std::function<void(const std::string& line)>;
  enum class Scope { kOwnRequests, kAll };
  // From now on the client can be asked, until the operation is destroyed. Null when it could be before.
  std::unique_ptr<Operation> join(ClientId client, Scope scope, Notify notify);
  // The client waits for `host` as long as the operation lives.
  std::unique_ptr<Operation> wait(ClientId client, std::string host);

  // --- what clients say; errors: kNotFound (no such question, any more), kInUse (claimed by another),
  //     kRefused (not this client's), kInvalid, kLimit ---
  Result<proto::Interaction> claim(ClientId client, const std::string& id);
  Status respond(ClientId client, const std::string& id, std::vector<Secret> answers);
  Status decline(ClientId client, const std::string& id);

  // --- for status ---
  std::vector<proto::InteractionStatus> pending() const;
  bool asks_about(const std::string& host) const;

 private:
  class Undo;
  struct Client {
    Scope scope = Scope::kOwnRequests;
    Notify notify;
  };
  struct Waiting {
    ClientId client;
    std::string host;
  };
  struct Pending {
    std::string id;
    Question question;
    Answered done;
    TimePoint since;
    std::set<ClientId> offered;
    std::optional<ClientId> claimer;  // then offered holds it alone
    std::unique_ptr<Timer> timer;
    std::optional<Result<std::vector<Secret>>> outcome;  // the next deliver() tells it
  };

  void leave(ClientId client);
  void stop_waiting(std::list<Waiting>::iterator place);
  void withdraw(const std::string& id);

  void offer(Pending& pending);
  void offer_to(Pending& pending, ClientId client);
  void take_from(Pending& pending, ClientId client, const char* reason);
  void finish(Pending& pending, Result<std::vector<Secret>> outcome, const char* reason);
  void deliver();

  Pending* find(const std::string& id);
  Result<Pending*> find_for(ClientId client, const std::string& id);
  bool waits(ClientId client, const std::string& host) const;
  bool has_room(ClientId client) const;
  std::optional<ClientId> longest_waiting(const std::string& host) const;
  proto::Interaction describe(const Pending& pending) const;

  Io& io_;
  std::unique_ptr<Deferred> deliver_soon_;
  std::map<ClientId, Client> clients_;  // that can answer
  std::list<Waiting> waiting_;          // in the order of their coming
  std::list<Pending> pending_;          // in the order of asking
  std::uint64_t last_id_ = 0;
};

}  // namespace jump
