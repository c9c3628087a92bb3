// The agent's control protocol, as a blocking client: connect, agree on a version, call methods. Any number
// of calls may be under way together. Errors of the agent and of the way there look alike: an RpcError with a
// kind and a hint.
//
//   Result<Client> client = Client::connect({.socket = path, .name = "jumpctl 0.1.0"});
//   Result<StatusResult> status = client->call(method::kStatus, {}, seconds(10));
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ctl/answerer.h"
#include "ctl/connection.h"
#include "proto/rpc.h"

namespace jump::ctl {

inline constexpr Duration kDefaultTimeout = seconds(10);
// Logging in may take a while: DNS, several hops, a person who looks for a password or a code.
inline constexpr Duration kLoginTimeout = seconds(180);
// Where the agent itself gives up after a timeout, its error says more than ours: wait this much longer for
// it.
inline constexpr Duration kGrace = seconds(2);

struct ClientOptions {
  std::string socket;                  // path
  std::string name;                    // how the client calls itself, with its version
  Duration timeout = kDefaultTimeout;  // to connect and agree on a version
  // Who answers the agent's questions while calls are under way; outlives the client. Null: nobody.
  Answerer* answerer = nullptr;
};

// What came of one call: a result, or an error.
struct Outcome {
  proto::Json result;
  std::optional<proto::RpcError> error;
};

class Client {
 public:
  // Errors: kUnreachable (no agent is running), kRefused, kTimeout, kClosed, kProtocol, kUnsupported (no
  // common version).
  static Result<Client> connect(const ClientOptions& options);
  // The same on an open connection.
  static Result<Client> greet(Connection connection, const ClientOptions& options);

  const proto::HelloResult& agent() const { return agent_; }

  // The agent works on so many requests of one connection; there must be room left for answers to questions.
  static constexpr std::size_t kMaxInFlight = 32;

  // Calls `method` once for each of `params`, up to kMaxInFlight at the same time; the outcomes are in the
  // same order.
  std::vector<Outcome> call_all(std::string_view method, const std::vector<proto::Json>& params,
                                Duration timeout);

  template <class P, class R>
  Result<R> call(const proto::Method<P, R>& method, const P& params, Duration timeout) {
    Outcome outcome = std::move(call_all(method.name, {proto::encode(params)}, timeout).front());
    if (outcome.error) return proto::to_error(*outcome.error);
    return proto::decode_result<R>(outcome.result);
  }

  // The same, with descriptors, at most proto::kMaxDescriptors, that stay the caller's.
  template <class P, class R>
  Result<R> call_passing(const proto::Method<P, R>& method, const P& params, std::vector<int> descriptors,
                         Duration timeout) {
    connection_.pass(std::move(descriptors));
    return call(method, params, timeout);
  }
  // Asks for something whose answer is of no matter.
  template <class P, class R>
  void tell(const proto::Method<P, R>& method, const P& params) {
    connection_.queue(proto::encode_request(++last_id_, method, params));
  }
  // Notifications that came while a call was under way and that its Answerer does not know, in their order.
  std::vector<proto::Answer> take_asides() { return std::move(asides_); }

  // Waits until the agent has ended the connection, as it does when it shuts down. Errors: kTimeout.
  Status wait_closed(Duration timeout);
  // What the agent says unasked, as it came; empty when one of `others` can be read, or `at_most` has passed.
  // *line is good until the next call. Errors: how the connection ended.
  Status next_line_or(std::span<const int> others, std::string_view* line,
                      std::optional<Duration> at_most = std::nullopt);
  // Nothing more is asked: the agent ends the connection, which is waited for.
  void say_goodbye(Duration timeout);

 private:
  Client(Connection connection, std::string socket)
      : connection_(std::move(connection)), socket_(std::move(socket)) {}

  void say_what_is_due();
  void on_aside(const proto::Answer& answer);
  Error explain(const Error& error, std::string_view method, Duration timeout) const;

  Connection connection_;
  std::string socket_;
  proto::HelloResult agent_;
  Answerer* answerer_ = nullptr;
  std::map<std::string, std::string> claims_;  // request id to interaction id
  std::vector<proto::Answer> asides_;
  std::int64_t last_id_ = 0;
};

}  // namespace jump::ctl
