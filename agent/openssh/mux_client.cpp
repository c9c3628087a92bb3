#include "openssh/mux_client.h"

#include <cassert>
#include <utility>

#include "base/log.h"

namespace jump {

std::string_view to_string(MuxClient::State state) {
  switch (state) {
    case MuxClient::State::kHello:
      return "hello";
    case MuxClient::State::kReady:
      return "ready";
    case MuxClient::State::kDescriptors:
      return "descriptors";
    case MuxClient::State::kAsked:
      return "asked";
    case MuxClient::State::kProxy:
      return "proxy";
    case MuxClient::State::kEnded:
      return "ended";
    case MuxClient::State::kBroken:
      return "broken";
  }
  return "?";
}

MuxClient::MuxClient(TimePoint now) : deadline_(now + kPatience) {
  MuxHello hello;
  hello.extensions.push_back({std::string(kMuxInfoExtension), "0"});
  output_.append(encode_mux(hello));
}

void MuxClient::set_state(State state) {
  assert(state_ != State::kBroken);
  log::trace("openssh client: {} -> {}", to_string(state_), to_string(state));
  state_ = state;
}

// --- input -------------------------------------------------------------------------------------------------

void MuxClient::feed(ByteView data, std::vector<Fd> descriptors, TimePoint now) {
  if (state_ == State::kEnded || state_ == State::kBroken) return;
  framer_.feed(data);
  for (Fd& each : descriptors) spare_.push_back(std::move(each));
  process(now);
}

void MuxClient::tick(TimePoint now) {
  if (now < deadline_) return;
  const char* what = state_ == State::kHello         ? "no hello came in time"
                     : state_ == State::kDescriptors ? "a request's descriptors did not come in time"
                                                     : "the rest of a packet did not come in time";
  if (state_ == State::kDescriptors) fail_request("did not receive file descriptors");
  break_off(Error{Errc::kTimeout, what, {}});
}

void MuxClient::process(TimePoint now) {
  while (step()) {
  }
  if (state_ != State::kProxy) check_spare_descriptors();
  watch_patience(now);
}

// Looks at the next thing that came. False: there is nothing, or it is not to be looked at yet.
bool MuxClient::step() {
  if (state_ == State::kDescriptors) return step_descriptors();
  if (state_ != State::kHello && state_ != State::kReady) return false;
  if (output_.size() > kMaxUnsent) return false;
  Result<std::optional<ByteView>> packet = framer_.next();
  if (!packet) return break_off(std::move(packet).error()), false;
  if (!packet->has_value()) return false;
  deadline_ = TimePoint::max();  // what comes next has a time of its own
  if (state_ == State::kHello) return step_hello(**packet);
  begin_request(**packet);
  return state_ != State::kBroken;
}

bool MuxClient::step_hello(ByteView packet) {
  Result<MuxHello> hello = decode_mux_hello(packet);
  if (!hello) return break_off(std::move(hello).error()), false;
  if (hello->version != kMuxVersion) {
    return break_off(Error{Errc::kProtocol,
                           "the client speaks version " + std::to_string(hello->version) +
                               " of the multiplexing protocol (" + std::to_string(kMuxVersion) + " is known)",
                           {}}),
           false;
  }
  set_state(State::kReady);
  return true;
}

void MuxClient::begin_request(ByteView packet) {
  Result<MuxHeader> header = decode_mux_header(packet);
  Result<MuxRequest> request = decode_mux_request(packet);
  if (header) request_id_ = header->request_id;
  if (!request && request.error().code == Errc::kUnsupported) return fail_request(request.error().message);
  if (!request) return break_off(std::move(request).error());
  request_ = Asked{*std::move(request), {}};
  if (descriptors_of(request_->request) > 0) return set_state(State::kDescriptors);
  complete_request();
}

bool MuxClient::step_descriptors() {
  if (!framer_.take_byte()) return false;
  if (spare_.empty()) {
    fail_request("did not receive file descriptors");
    return break_off(Error{Errc::kProtocol, "a request came without its descriptors", {}}), false;
  }
  request_->descriptors.push_back(std::move(spare_.front()));
  spare_.pop_front();
  if (awaited_descriptors() > 0) return true;
  deadline_ = TimePoint::max();
  complete_request();
  return true;
}

// All of it is there: to be taken, unless the answer is known already.
void MuxClient::complete_request() {
  std::optional<std::string> refusal = mux_objection(request_->request);
  bool carries = descriptors_of(request_->request) > 0;
  if (!refusal && carries && passenger_ != Passenger::kNone) refusal = "Multiple sessions not supported";
  set_state(refusal ? State::kReady : State::kAsked);
  if (refusal) fail_request(*refusal);
}

// Descriptors that no byte behind a request has brought.
void MuxClient::check_spare_descriptors() {
  bool ahead = state_ == State::kAsked || output_.size() > kMaxUnsent;
  if (state_ == State::kBroken || spare_.size() <= (ahead ? kMaxDescriptors : 0)) return;
  break_off(Error{Errc::kProtocol, "descriptors came that no request is for", {}});
}

void MuxClient::watch_patience(TimePoint now) {
  bool reads = output_.size() <= kMaxUnsent;
  bool begun = state_ == State::kHello || state_ == State::kDescriptors ||
               (state_ == State::kReady && reads && framer_.buffered() > 0);
  if (!begun) {
    deadline_ = TimePoint::max();
  } else if (deadline_ == TimePoint::max()) {
    deadline_ = now + kPatience;
  }
}

// --- requests and answers ----------------------------------------------------------------------------------

std::optional<MuxClient::Asked> MuxClient::take_request() {
  if (state_ != State::kAsked) return std::nullopt;
  if (!request_) return std::nullopt;
  asks_for_ = std::holds_alternative<MuxNewSession>(request_->request)        ? Passenger::kSession
              : std::holds_alternative<MuxNewStdioForward>(request_->request) ? Passenger::kStdioForward
                                                                              : Passenger::kNone;
  return std::exchange(request_, std::nullopt);
}

void MuxClient::answer(MuxAnswer answer, TimePoint now) {
  if (state_ != State::kAsked) return;  // it broke, or its passenger ended, meanwhile
  assert(!request_);
  std::visit(
      [this](auto& each) {
        if constexpr (requires { each.request_id; }) each.request_id = request_id_;
      },
      answer);
  send(answer);
  if (const auto* opened = std::get_if<MuxSessionOpened>(&answer)) {
    passenger_ = asks_for_;
    session_id_ = opened->session_id;
  }
  set_state(std::holds_alternative<MuxProxyStarted>(answer) ? State::kProxy : State::kReady);
  process(now);
}

void MuxClient::refuse_alive(std::string_view text, TimePoint now) {
  if (state_ != State::kAsked) return;
  output_.append(encode_mux_alive_failure(text));
  set_state(State::kReady);
  process(now);
}

void MuxClient::fail_request(std::string_view reason) {
  request_.reset();
  send(MuxFailure{request_id_, std::string(reason)});
}

void MuxClient::tty_failed() {
  if (passenger_ == Passenger::kSession && error_ == std::nullopt) send(MuxTtyAllocFail{session_id_});
}

void MuxClient::passenger_ended(std::optional<std::uint32_t> status) {
  if (passenger_ == Passenger::kNone || state_ == State::kEnded || state_ == State::kBroken) return;
  if (passenger_ == Passenger::kSession && status) send(MuxExitMessage{session_id_, *status});
  set_state(State::kEnded);
  request_.reset();
  spare_.clear();
  framer_.take_rest();
  deadline_ = TimePoint::max();
}

void MuxClient::send(const MuxAnswer& answer) { output_.append(encode_mux(answer)); }

void MuxClient::break_off(Error error) {
  if (error_) return;
  log::debug("openssh client: {}", error.message);
  set_state(State::kBroken);
  error_ = std::move(error);
  request_.reset();
  spare_.clear();
  framer_.take_rest();
  deadline_ = TimePoint::max();
}

// --- output, getters ---------------------------------------------------------------------------------------

void MuxClient::consume_output(std::size_t count, TimePoint now) {
  bool stuck = output_.size() > kMaxUnsent;
  output_.consume(count);
  if (stuck && output_.size() <= kMaxUnsent) process(now);
}

bool MuxClient::wants_input() const {
  if (state_ == State::kEnded || state_ == State::kBroken || state_ == State::kProxy) return false;
  bool ahead = state_ == State::kAsked || output_.size() > kMaxUnsent;
  return !ahead || framer_.buffered() < kMaxReadAhead;
}

std::size_t MuxClient::awaited_descriptors() const {
  if (state_ != State::kDescriptors) return 0;
  return descriptors_of(request_->request) - request_->descriptors.size();
}

}  // namespace jump
