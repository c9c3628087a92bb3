// MuxVisit: one client of a multiplexing socket, from its connect to its end: a stock `ssh` (scp, rsync, git
// …) that found the socket by its ControlPath.
//
//   socket ─► MuxClient ─► a request ─► the host, its forwards, a MuxPassenger ─► the answer ─► socket
//                                └─► -O proxy: ProxyTranslator and ProxyConnection have the socket from then
//                                on
//
// Its arrival logs in: `-O check` and whatever comes before a session ask whether the master is alive, and
// that is answered when the server has given a sign of life, or with the reason why there is none. Where the
// login needs a person and nobody could be asked, a client that wants a session is sent to log in by itself.
//
// Invariants: one client's nonsense, silence or death is its own; what it has asked for ends with it,
// forwards aside, as with OpenSSH's master.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "openssh/mux_client.h"
#include "openssh/mux_forwards.h"
#include "openssh/mux_passenger.h"
#include "openssh/proxy_connection.h"
#include "openssh/proxy_translator.h"

namespace jump {

class MuxVisit;

// What a visit asks of the socket that it came by.
class MuxDoor {
 public:
  virtual Host& host() = 0;
  virtual MuxForwards& forwards() = 0;
  // `-O exit`, `-O stop`: called after the answer was given.
  virtual void exit() = 0;
  virtual void stop() = 0;
  // It has ended. It may be what is running now.
  virtual void remove(MuxVisit& visit) = 0;

 protected:
  ~MuxDoor() = default;
};

class MuxVisit final : private StreamHandler {
 public:
  // Heard from the server within this time, it need not be asked again: a burst of commands is not slowed
  // down by a round trip each.
  static constexpr Duration kFresh = seconds(2);
  // From a client's question to the answer, if nothing comes from the server; then it is dead, as Liveness
  // has it.
  static constexpr Duration kAliveMax = seconds(3);
  // From the answer to one question of a client's to its next, on a busy machine.
  static constexpr Duration kBetweenRequests = seconds(2);
  // How often a client of the proxy mode that has no channel looks whether the connection is still there.
  static constexpr Duration kProxyLook = seconds(1);

  MuxVisit(const MuxServices& services, MuxDoor& door, std::unique_ptr<ByteStream> stream);
  ~MuxVisit();

  void start();
  // The size of its terminal may be another one.
  void resize();
  // The agent, or `-O exit`, ends it.
  void end(const Error& reason);
  // It has a session, a stdio forward or channels of the proxy mode.
  bool busy() const { return passenger_ != nullptr || proxy_ != nullptr; }
  bool has_proxy() const { return proxy_ != nullptr; }
  // It waits for an answer, or has had one a moment ago: it is likely to ask for something.
  bool may_ask_more() const;

  std::list<std::shared_ptr<MuxVisit>>::iterator place;

 private:
  struct Proxy;

  // StreamHandler
  std::size_t on_data(ByteView data) override;
  void on_eof() override {}
  void on_writable() override { work(); }
  void on_closed(const Error* error) override;

  void work();
  void flush();
  void answer(MuxAnswer answer);
  void refuse(Error error);
  void carry_out(MuxClient::Asked asked);
  void on_request(const MuxAliveCheck&);
  void on_request(const MuxTerminate&);
  void on_request(const MuxStopListening&);
  void on_request(const MuxOpenForward& request);
  void on_request(const MuxCloseForward& request);
  void on_request(const MuxExtInfo& request);
  void on_request(const MuxProxy&);
  void begin_session(const MuxNewSession& request, std::vector<Fd> descriptors);
  void begin_stdio_forward(const MuxNewStdioForward& request, std::vector<Fd> descriptors);
  MuxPassenger& make_passenger();
  void on_alive_timer();
  void on_no_connection(Error error);
  void add_way_to_be_asked(Error& error);
  void check_alive(Mux& mux);
  void refuse_alive(const Error& error);
  void begin_proxy(Mux& mux);
  Result<std::unique_ptr<Operation>> find_elsewhere(Mux& full, ProxyConnection::Found found);
  void work_proxy();
  void arm();

  const MuxServices& services_;
  MuxDoor& door_;
  std::unique_ptr<ByteStream> stream_;
  MuxClient client_;
  TimePoint moved_at_;
  bool held_ = false;  // on_data() took less than it was offered
  std::unique_ptr<Operation> waiting_;
  std::unique_ptr<Timer> alive_timer_, patience_timer_;
  std::uint64_t alive_checks_ = 0;
  std::optional<Error> its_own_login_;  // the session that is about to be asked for is refused with it
  std::unique_ptr<Deferred> work_soon_;
  std::unique_ptr<MuxPassenger> passenger_;
  std::unique_ptr<Proxy> proxy_;
  const std::shared_ptr<MuxVisit*> self_ = std::make_shared<MuxVisit*>(this);  // for answers of a Mux
};

}  // namespace jump
