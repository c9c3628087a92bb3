// SessionMethods: sessions and streams of clients of the control socket: host.options, session.open, .resize,
// .signal, stream.open.
//
//   request and descriptors ─► Session or StreamRelay ─► the answer once it runs ─► session.ended,
//   stream.ended
//                         └─► with `upgrade` ─► the connection itself carries it
//
// Invariants: what a client has opened ends with its connection, unless it was detached; descriptors that
// came with a request are closed when what they were for has ended, or was refused; a client that has gone
// leaves nothing.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "control/dispatcher.h"
#include "control/methods.h"
#include "session/sessions.h"

namespace jump {

class SessionMethods {
 public:
  // `book` outlives it.
  SessionMethods(Io& io, Sessions& book) : io_(io), book_(book) {}
  ~SessionMethods();
  SessionMethods(const SessionMethods&) = delete;
  SessionMethods& operator=(const SessionMethods&) = delete;

  void bind(Dispatcher& dispatcher, const MethodContext& context);

 private:
  class Served;
  class ServedSession;
  class ServedStream;

  void options(const MethodContext& context, const proto::HostOptionsParams& params,
               const Reply<proto::HostOptionsResult>& reply);
  void open_session(const MethodContext& context, const proto::SessionOpenParams& params,
                    const Reply<proto::SessionOpenResult>& reply);
  void resize(const proto::SessionResizeParams& params, const Reply<proto::Empty>& reply);
  void signal(const proto::SessionSignalParams& params, const Reply<proto::Empty>& reply);
  void open_stream(const MethodContext& context, const proto::StreamOpenParams& params,
                   const Reply<proto::StreamOpenResult>& reply);
  void begin_stream(const MethodContext& context, const proto::StreamOpenParams& params, Host& via,
                    std::shared_ptr<std::vector<Fd>> descriptors,
                    const Reply<proto::StreamOpenResult>& reply);

  void add(std::shared_ptr<Served> served);
  void remove(Served& served);
  ServedSession* find(const std::string& id, const Peer* peer);

  Io& io_;
  Sessions& book_;
  std::list<std::shared_ptr<Served>> served_;
};

}  // namespace jump
