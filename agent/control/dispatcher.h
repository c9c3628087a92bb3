// Dispatcher: the method table. A method is bound to a typed handler; JSON stays on this side of it:
//
//   dispatcher.bind(method::kForwardClose, [&](const ForwardCloseParams& params, Reply<ForwardCloseResult>
//   reply) {…});
//
// A Reply answers exactly once: dropped without an answer, it answers "internal error", so no client ever
// waits for a handler that forgot. It may be answered later, from any point of the loop; a client that has
// gone meanwhile is no error. A handler that starts something cancellable hands it to keep(): it is cancelled
// when the client goes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "proto/codec.h"
#include "proto/methods.h"
#include "proto/rpc.h"
#include "stream/io.h"

namespace jump {

// The client whose request it is, as a handler sees it.
class Peer {
 public:
  // Differs for every connection.
  virtual std::uint64_t id() const = 0;
  // Is sent behind what was answered before.
  virtual void notify(const std::string& line) = 0;
  // The same, for what is bounded by whoever calls: it may wait for long, and the client is not cut off for
  // it.
  virtual void notify_patiently(const std::string& lines) = 0;
  // Nothing that it was told or answered waits here.
  virtual bool all_sent() const = 0;
  // `call` is called from the loop each time that this comes about after something had to wait.
  virtual void on_all_sent(std::function<void()> call) = 0;
  // Is destroyed when the client goes, or says that it will send no more.
  virtual void keep(std::unique_ptr<Operation> operation) = 0;
  // Something that lasts as long as the connection: `gone` is called once when that has ended first. As long
  // as the result lives, the connection is not ended from here, though its client may send no more.
  virtual std::unique_ptr<Operation> stay(std::function<void()> gone) = 0;

 protected:
  ~Peer() = default;
};

// Where one request's answer goes. Owned by the Reply; the client's side may be gone.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  virtual Peer* peer() = 0;  // null once the client has gone, or was answered
  virtual void answer(std::string line) = 0;
  virtual void keep(std::unique_ptr<Operation> operation) = 0;
  // `call` is called once if the client says that it will send no more before it was answered: it may wait
  // for the answer still, or have gone.
  virtual void on_input_end(std::function<void()> call) { (void)call; }
  // Descriptors that came with the request's line. Those that are not taken are closed with the request.
  virtual std::vector<Fd> take_descriptors() { return {}; }
  // Why the connection cannot become something else behind this request's answer.
  virtual Status may_upgrade() { return Error{Errc::kUnsupported, "this connection cannot be upgraded", {}}; }
  // Answers, and then hands the connection over, which is no client of the control protocol any more: null
  // when it has ended meanwhile. After may_upgrade() only; what has happened since is answered with an error,
  // and then `taken` gets null, too.
  using Taken = std::function<void(std::unique_ptr<ByteStream>)>;
  virtual void upgrade(std::string line, Taken taken) {
    answer(std::move(line));
    taken(nullptr);
  }
};

template <class R>
class Reply {
 public:
  Reply(std::string id, std::shared_ptr<ReplySink> sink) : state_(std::make_shared<State>()) {
    state_->id = std::move(id);
    state_->sink = std::move(sink);
  }

  void operator()(const Result<R>& outcome) const { state_->send(outcome); }
  void keep(std::unique_ptr<Operation> operation) const {
    if (operation && state_->sink) state_->sink->keep(std::move(operation));
  }
  void on_input_end(std::function<void()> call) const {
    if (state_->sink) state_->sink->on_input_end(std::move(call));
  }
  Peer* peer() const { return state_->sink ? state_->sink->peer() : nullptr; }
  std::vector<Fd> take_descriptors() const {
    return state_->sink ? state_->sink->take_descriptors() : std::vector<Fd>();
  }
  Status may_upgrade() const {
    if (!state_->sink) return Error{Errc::kClosed, "the request was answered already", {}};
    return state_->sink->may_upgrade();
  }
  // Instead of the call: see ReplySink::upgrade().
  void upgrade(const R& result, ReplySink::Taken taken) const {
    if (auto to = std::exchange(state_->sink, nullptr)) {
      to->upgrade(proto::encode_reply(state_->id, Result<R>(result)), std::move(taken));
    } else {
      taken(nullptr);  // it was answered otherwise: its login was declined
    }
  }

 private:
  // Shared, as std::function wants copies; the last one gone without an answer gives the one below.
  struct State {
    std::string id;
    std::shared_ptr<ReplySink> sink;

    void send(const Result<R>& outcome) {
      if (auto to = std::exchange(sink, nullptr)) to->answer(proto::encode_reply(id, outcome));
    }
    ~State() {
      if (sink) send(Error{Errc::kInternal, "the request was dropped without an answer", {}});
    }
  };
  std::shared_ptr<State> state_;
};

class Dispatcher {
 public:
  template <class P, class R, class Handler>
  void bind(const proto::Method<P, R>& method, Handler handler) {
    table_[method.name] = [handler = std::move(handler)](proto::Request& request,
                                                         std::shared_ptr<ReplySink> sink) {
      Result<P> params = proto::decode_params<P>(request);
      if (!params) {
        sink->answer(
            proto::encode_error(request.id, proto::to_rpc_error(params.error(), proto::kInvalidParams)));
        return;
      }
      handler(*params, Reply<R>(request.id, std::move(sink)));
    };
  }

  // Answers through `sink`, now or later. Takes the request's answers, if it has any.
  void dispatch(proto::Request& request, std::shared_ptr<ReplySink> sink) const {
    auto found = table_.find(request.method);
    if (found == table_.end()) {
      sink->answer(proto::encode_error(request.id, proto::method_not_found(request.method)));
      return;
    }
    found->second(request, std::move(sink));
  }

 private:
  using Entry = std::function<void(proto::Request&, std::shared_ptr<ReplySink>)>;
  std::map<std::string, Entry, std::less<>> table_;
};

}  // namespace jump
