// AgentClient: asks an ssh-agent over its Unix socket, without ever blocking.
//
//   list(), sign() ─► queue ─► one request on the wire ─► reply ─► done()
//
// It dials at the first request and keeps the connection; when the agent hangs up in between, the next
// request dials again. Signing has no time limit, as a person may have to touch a token or confirm: destroy
// the client to give up. Invariant: each done() is called at most once, from the loop, never from inside a
// call of this class, and never after the client is destroyed. A done() may ask again, but must not destroy
// the client: note the result and wake the owner.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "auth/agent_protocol.h"
#include "stream/io.h"

namespace jump {

class AgentClient final : private StreamHandler {
 public:
  static constexpr Duration kListTimeout = seconds(10);  // for dialing, and for the reply to list()

  // `io` outlives the client. `socket_path`: SSH_AUTH_SOCK or IdentityAgent.
  AgentClient(Io& io, std::string socket_path);
  ~AgentClient();
  AgentClient(const AgentClient&) = delete;
  AgentClient& operator=(const AgentClient&) = delete;

  // Errors of both: kNotFound, kRefused, kUnreachable (no agent there), kTimeout (list and dial only),
  // kClosed (it hung up), kProtocol; kRefused also when the agent itself says no, or its user does.
  using Listed = std::function<void(Result<std::vector<AgentIdentity>>)>;
  void list(Listed done);
  using Signed = std::function<void(Result<Bytes>)>;
  void sign(ByteView key_blob, std::string_view algorithm, ByteView data, Signed done);

 private:
  enum class State { kIdle, kDialing, kConnected };
  struct Request {
    Bytes frame;
    bool timed = false;
    std::function<void(Result<Bytes>)> done;  // gets the reply message
  };

  std::size_t on_data(ByteView data) override;
  void on_eof() override;
  void on_writable() override;
  void on_closed(const Error* error) override;

  void enqueue(Request request);
  void pump();  // runs from the loop: sends what is due, hands out what has come
  void dial();
  void on_dialed(Result<std::unique_ptr<ByteStream>> dialed);
  void begin_front();
  void write_more();
  void deliver_replies();
  void fail_all(const Error& error);
  void drop_stream();
  void set_state(State state);

  Io& io_;
  const std::string path_;
  State state_ = State::kIdle;
  std::unique_ptr<Deferred> deferred_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Operation> dialing_;
  std::unique_ptr<ByteStream> stream_;
  AgentFramer framer_;
  std::deque<Request> queue_;  // the front is on the wire when front_begun_
  bool front_begun_ = false;
  bool served_ = false;                                     // this stream has answered
  std::size_t written_ = 0;                                 // of the front's frame
  std::deque<std::pair<Request, Result<Bytes>>> finished_;  // to be told by the next pump()
};

}  // namespace jump
