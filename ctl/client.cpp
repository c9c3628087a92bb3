#include "ctl/client.h"

#include <fmt/core.h>

#include <algorithm>

namespace jump::ctl {
namespace {

// A wait that cannot overflow the clock, whatever was asked for.
TimePoint deadline_after(Duration timeout) {
  return Clock::now() + std::min<Duration>(timeout, std::chrono::hours(48));
}

}  // namespace

Result<Client> Client::connect(const ClientOptions& options) {
  Result<Connection> connection = Connection::open(options.socket, deadline_after(options.timeout));
  if (!connection.ok()) return connection.error();
  return greet(*std::move(connection), options);
}

Result<Client> Client::greet(Connection connection, const ClientOptions& options) {
  Client client(std::move(connection), options.socket);
  proto::HelloParams params;
  params.client = options.name;
  if (options.answerer != nullptr && options.answerer->able()) {
    client.answerer_ = options.answerer;
    params.capabilities.push_back(proto::kInteractionsCapability);
  }
  Result<proto::HelloResult> hello = client.call(proto::method::kHello, params, options.timeout);
  if (!hello.ok()) return hello.error();
  if (hello->protocol < proto::kProtocolMin || hello->protocol > proto::kProtocolMax) {
    return Error{Errc::kUnsupported,
                 fmt::format("the agent chose protocol version {}, this client speaks {} to {}",
                             hello->protocol, proto::kProtocolMin, proto::kProtocolMax),
                 "update the older of the two"};
  }
  client.agent_ = *std::move(hello);
  return client;
}

std::vector<Outcome> Client::call_all(std::string_view method, const std::vector<proto::Json>& params,
                                      Duration timeout) {
  std::vector<std::string> ids;  // of the requests made so far
  std::vector<std::optional<Outcome>> answered(params.size());
  std::size_t missing = params.size();
  std::optional<Error> broken;
  const TimePoint deadline = deadline_after(timeout);
  while (missing > 0 && !broken) {
    while (ids.size() < params.size() && ids.size() + missing < params.size() + kMaxInFlight) {
      connection_.queue(proto::encode_request(++last_id_, method, params[ids.size()]));
      ids.push_back(std::to_string(last_id_));
    }
    say_what_is_due();
    std::string_view line;
    const std::vector<int> person = answerer_ != nullptr ? answerer_->descriptors() : std::vector<int>{};
    if (Status status = connection_.next_line_or(deadline, &line, person); !status.ok()) {
      broken = explain(status.error(), method, timeout);
      break;
    }
    if (line.empty()) {
      answerer_->on_readable();
      continue;
    }
    Result<proto::Answer> answer = proto::parse_answer(line);
    if (!answer.ok()) {
      broken = answer.error().context(fmt::format("the agent at {}", socket_));
      break;
    }
    if (answer->id == "null" && answer->error) {
      broken = proto::to_error(*answer->error);  // about the connection as a whole: it is being ended
      break;
    }
    // The late answer of a call that was given up belongs to nobody here.
    const auto place = std::find(ids.begin(), ids.end(), answer->id);
    if (place == ids.end()) {
      on_aside(*answer);
      continue;
    }
    std::optional<Outcome>& outcome = answered[static_cast<std::size_t>(place - ids.begin())];
    if (outcome) continue;
    outcome = Outcome{answer->result, answer->error};
    --missing;
  }

  std::vector<Outcome> outcomes;
  for (auto& each : answered) {
    outcomes.push_back(each ? *std::move(each) : Outcome{{}, proto::to_rpc_error(*broken)});
  }
  return outcomes;
}

void Client::say_what_is_due() {
  if (answerer_ == nullptr) return;
  while (std::optional<Answerer::Step> step = answerer_->next_step()) {
    const std::int64_t id = ++last_id_;
    switch (step->kind) {
      case Answerer::Step::Kind::kClaim:
        claims_[std::to_string(id)] = step->params.id;
        connection_.queue(proto::encode_request(id, proto::method::kInteractionClaim, {step->params.id}));
        break;
      case Answerer::Step::Kind::kRespond:
        connection_.queue(proto::encode_respond(id, step->params).text());
        break;
      case Answerer::Step::Kind::kDecline: {
        proto::InteractionDeclineParams decline{step->params.id};
        if (!step->reason.empty()) decline.reason = std::move(step->reason);
        connection_.queue(proto::encode_request(id, proto::method::kInteractionDecline, decline));
        break;
      }
    }
  }
}

// What is no answer to one of the calls: a notification, or an answer about a question.
void Client::on_aside(const proto::Answer& answer) {
  if (answer.method == proto::notification::kSessionEnded.name ||
      answer.method == proto::notification::kStreamEnded.name) {
    asides_.push_back(answer);
    return;
  }
  if (answerer_ == nullptr) return;
  if (!answer.method.empty()) return answerer_->on_notification(answer.method, answer.result);
  if (const auto claim = claims_.extract(answer.id)) answerer_->on_claimed(claim.mapped(), !answer.error);
}

Status Client::wait_closed(Duration timeout) {
  const TimePoint deadline = deadline_after(timeout);
  std::string_view line;
  while (true) {
    const Status status = connection_.next_line(deadline, &line);
    if (status.ok()) continue;
    if (status.error().code == Errc::kClosed) return {};
    return explain(status.error(), "shutdown", timeout);
  }
}

Status Client::next_line_or(std::span<const int> others, std::string_view* line,
                            std::optional<Duration> at_most) {
  while (true) {
    const Status status =
        connection_.next_line_or(deadline_after(at_most.value_or(std::chrono::hours(1))), line, others);
    if (status.ok() || status.error().code != Errc::kTimeout) return status;
    *line = {};
    if (at_most) return {};
  }
}

void Client::say_goodbye(Duration timeout) {
  connection_.end_input();
  (void)wait_closed(timeout);
}

Error Client::explain(const Error& error, std::string_view method, Duration timeout) const {
  const std::string who = connection_.peer_pid() > 0
                              ? fmt::format("the agent (pid {}, socket {})", connection_.peer_pid(), socket_)
                              : fmt::format("the agent (socket {})", socket_);
  switch (error.code) {
    case Errc::kTimeout:
      return Error{Errc::kTimeout,
                   fmt::format("{} has not answered '{}' for {:g} s", who, method, to_seconds(timeout)),
                   "give it longer with --timeout SECONDS, or see its log"};
    case Errc::kClosed:
      return Error{Errc::kClosed,
                   fmt::format("{} ended the connection without an answer to '{}'", who, method), error.hint};
    default:
      return error.context(who);
  }
}

}  // namespace jump::ctl
