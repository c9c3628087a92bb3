#include "openssh/mux_visit.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/shell_quoted.h"
#include "openssh/client_command.h"
#include "openssh/mux_info.h"
#include "openssh/offered_agent.h"

namespace jump {
namespace {

constexpr std::size_t kMaxFacts = 1 << 20;  // of a process, as far as we read them

// The environment ("environ") or arguments ("cmdline") of a process, each with a zero byte behind it; empty
// when they cannot be told. Blocks, if the process's memory is being changed: for a pool thread.
std::string facts_of(int process, const char* which) {
  const Fd file(::open(("/proc/" + std::to_string(process) + "/" + which).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  std::string all;
  std::array<char, 16384> piece;
  ssize_t count = 0;
  while (all.size() < kMaxFacts && (count = ::read(file.get(), piece.data(), piece.size())) > 0)
    all.append(piece.data(), static_cast<std::size_t>(count));
  return all;
}

}  // namespace

// The proxy mode: the socket carries SSH packets.
struct MuxVisit::Proxy {
  Proxy(Mux& mux, std::function<void()> wake, ProxyConnection::Elsewhere elsewhere,
        std::unique_ptr<Timer> look)
      : life(mux.life()),
        connection(&mux, std::move(wake), std::move(elsewhere)),
        translator(&connection),
        look_timer(std::move(look)) {
    connection.set_translator(&translator);
  }
  bool gone() const { return *life == nullptr || connection.lost() != nullptr; }

  const std::shared_ptr<Mux* const> life;
  ProxyConnection connection;
  ProxyTranslator translator;
  std::unique_ptr<Timer> look_timer;
};

MuxVisit::MuxVisit(const MuxServices& services, MuxDoor& door, std::unique_ptr<ByteStream> stream)
    : services_(services),
      door_(door),
      stream_(std::move(stream)),
      client_(services.io.now()),
      moved_at_(services.io.now()) {
  alive_timer_ = services.io.timer([this] { on_alive_timer(); });
  patience_timer_ = services.io.timer([this] {
    client_.tick(services_.io.now());
    work();
  });
  work_soon_ = services.io.deferred([this] { work(); });
}

MuxVisit::~MuxVisit() { *self_ = nullptr; }

void MuxVisit::start() {
  stream_->set_handler(this);
  work();
}

void MuxVisit::resize() {
  if (passenger_) passenger_->resize();
}

void MuxVisit::end(const Error& reason) {
  if (passenger_) passenger_->end_now(reason);
  if (proxy_ || !passenger_ || !passenger_->runs()) stream_->close();
}

// --- bytes
// ---------------------------------------------------------------------------------------------------------------

bool MuxVisit::may_ask_more() const {
  const bool asked = client_.state() == MuxClient::State::kAsked;
  return asked || (!busy() && services_.io.now() - moved_at_ < kBetweenRequests);
}

std::size_t MuxVisit::on_data(ByteView data) {
  moved_at_ = services_.io.now();
  if (proxy_ && proxy_->gone()) {  // what would be asked is no more
    work_soon_->schedule();
    return data.size();
  }
  const bool wanted = proxy_ ? proxy_->translator.wants_input() : client_.wants_input();
  held_ = !wanted;
  if (!wanted) return 0;
  if (proxy_) {
    proxy_->translator.feed(data);
  } else {
    client_.feed(data, stream_->take_descriptors(), services_.io.now());
  }
  work_soon_->schedule();
  return data.size();
}

void MuxVisit::work() {
  if (proxy_) return work_proxy();
  if (std::optional<MuxClient::Asked> asked = client_.take_request()) carry_out(std::move(*asked));
  if (proxy_) return work_soon_->schedule();
  flush();
  if (client_.has_request()) work_soon_->schedule();  // it waited for room
  if (held_ && client_.wants_input()) stream_->resume_reading();
  arm();
}

void MuxVisit::flush() {
  if (proxy_) return work_proxy();
  while (!client_.output().empty()) {
    const std::size_t count = stream_->write(client_.output());
    if (count == 0) return;
    client_.consume_output(count, services_.io.now());
  }
  if (!client_.finished()) return;
  if (const Error* error = client_.error()) log::info("{}: {}", stream_->describe(), error->message);
  stream_->close();
}

void MuxVisit::arm() {
  const TimePoint due = client_.next_deadline();
  if (due == TimePoint::max()) return patience_timer_->stop();
  patience_timer_->start(std::max(due - services_.io.now(), Duration::zero()));
}

void MuxVisit::on_closed(const Error*) { door_.remove(*this); }

void MuxVisit::answer(MuxAnswer answer) {
  moved_at_ = services_.io.now();
  client_.answer(std::move(answer), services_.io.now());
  work_soon_->schedule();
}

void MuxVisit::refuse(Error error) {
  add_way_to_be_asked(error);
  answer(MuxFailure{0, error.message + (error.hint.empty() ? "" : "; " + error.hint)});
}

// --- requests
// ------------------------------------------------------------------------------------------------------------

void MuxVisit::carry_out(MuxClient::Asked asked) {
  if (const auto* session = std::get_if<MuxNewSession>(&asked.request))
    return begin_session(*session, std::move(asked.descriptors));
  if (const auto* forward = std::get_if<MuxNewStdioForward>(&asked.request))
    return begin_stdio_forward(*forward, std::move(asked.descriptors));
  std::visit(
      [this](const auto& request) {
        if constexpr (requires { on_request(request); }) on_request(request);
      },
      asked.request);
}

void MuxVisit::on_request(const MuxAliveCheck&) {
  if (Status may = services_.may_serve(); !may) return refuse_alive(may.error());
  alive_timer_->start(kAliveMax);
  waiting_ =
      door_.host().acquire(Host::Asker::kUser, services_.login_wait(), [this](const Result<Mux*>& mux) {
        waiting_.reset();
        if (!mux) return on_no_connection(mux.error());
        check_alive(**mux);
      });
}

// ssh cannot answer the agent's questions; jumpctl can.
void MuxVisit::add_way_to_be_asked(Error& error) {
  constexpr std::string_view kWay = "jumpctl connect";
  if (error.code != Errc::kNeedsPerson || error.hint.find(kWay) != std::string::npos) return;
  error.hint = "to have the agent ask you, in a terminal: " + std::string(kWay) + " " +
               shell_quoted(door_.host().name());
}

// Where nobody could be asked for what the login needs, the client's user can; or the client has another
// ssh-agent, with keys that the server takes: an ssh whose session is refused logs in by itself, and asks. To
// hear that, it has to be told that the master is alive first; whoever asks for nothing else is told the
// truth.
void MuxVisit::on_no_connection(Error error) {
  add_way_to_be_asked(error);
  const int process = stream_->peer_process();
  if ((error.code != Errc::kNeedsPerson && error.code != Errc::kAuth) || process <= 0)
    return refuse_alive(error);
  alive_timer_->stop();
  struct Facts {
    std::string command, environment;
  };
  auto facts = std::make_shared<Facts>();
  waiting_ = services_.io.in_pool(
      [facts, process] {
        facts->command = facts_of(process, "cmdline");
        facts->environment = facts_of(process, "environ");
      },
      [this, facts, error] {
        // The same keys again would be one more failure for the server to count.
        const char* own = std::getenv("SSH_AUTH_SOCK");
        const std::string theirs = ssh_agent_of(facts->environment);
        const bool other_keys = !theirs.empty() && theirs != (own ? own : "");
        const bool may_get_in = error.code == Errc::kNeedsPerson || other_keys;
        if (!may_get_in || !wants_session(facts->command)) return refuse_alive(error);
        its_own_login_ = error;
        answer(MuxAlive{0, static_cast<std::uint32_t>(getpid())});
      });
}

// A first login, or one that the server takes part in, may take a person's time; what was connected, or
// failed before, and is silent now, is dead.
void MuxVisit::on_alive_timer() {
  if (waiting_ && !door_.host().ready() && !door_.host().silent()) return alive_timer_->start(kAliveMax);
  refuse_alive(Error{Errc::kTimeout, door_.host().name() + ": the server does not answer", {}});
}

void MuxVisit::check_alive(Mux& mux) {
  const auto heard = door_.host().last_heard();
  if (heard && services_.io.now() - *heard <= kFresh) {
    alive_timer_->stop();
    return answer(MuxAlive{0, static_cast<std::uint32_t>(getpid())});
  }
  door_.host().question();  // not suspected: one that is slow has sessions, whatever this client hears
  const std::uint64_t number = ++alive_checks_;
  Status asked =
      mux.global_request("keepalive@openssh.com", {}, [self = std::weak_ptr(self_), number](bool, ByteView) {
        const auto visit = self.lock();
        if (!visit || !*visit || (*visit)->alive_checks_ != number) return;
        (*visit)->alive_timer_->stop();
        (*visit)->answer(MuxAlive{0, static_cast<std::uint32_t>(getpid())});
      });
  if (!asked) refuse_alive(asked.error());
}

void MuxVisit::refuse_alive(const Error& error) {
  alive_timer_->stop();
  waiting_.reset();
  ++alive_checks_;  // a late answer of the server's answers nothing
  const std::string text = error.message + (error.hint.empty() ? "" : "; " + error.hint);
  client_.refuse_alive(text, services_.io.now());
  work_soon_->schedule();
}

void MuxVisit::on_request(const MuxTerminate&) {
  answer(MuxOk{});
  flush();
  door_.exit();
}

void MuxVisit::on_request(const MuxStopListening&) {
  answer(MuxOk{});
  flush();
  door_.stop();
}

void MuxVisit::on_request(const MuxOpenForward& request) {
  waiting_ =
      door_.forwards().open(request.forward, [this](const Result<std::optional<std::uint16_t>>& opened) {
        if (!opened) return refuse(opened.error());
        if (*opened) return answer(MuxRemotePort{0, **opened});
        answer(MuxOk{});
      });
}

void MuxVisit::on_request(const MuxCloseForward& request) {
  if (Status done = door_.forwards().cancel(request.forward); !done) return refuse(done.error());
  answer(MuxOk{});
}

void MuxVisit::on_request(const MuxExtInfo& request) {
  if (request.name == "connection")
    return answer(MuxExtInfoText{0, true, connection_info(door_.host(), services_.io.now())});
  if (request.name == "channels")
    return answer(
        MuxExtInfoText{0, true, channel_info(services_.book, services_.forwards, door_.host().name())});
  answer(MuxExtInfoText{0, false, "info request type not supported"});
}

// --- passengers
// ----------------------------------------------------------------------------------------------------------

MuxPassenger& MuxVisit::make_passenger() {
  MuxPassenger::Events events;
  events.no_terminal = [this] {
    client_.tty_failed();
    work_soon_->schedule();
  };
  events.opened = [this](const Status& outcome) {
    if (!outcome) return refuse(outcome.error());
    answer(MuxSessionOpened{});
  };
  events.ended = [this](std::optional<std::uint32_t> status) {
    client_.passenger_ended(status);
    work_soon_->schedule();
  };
  passenger_ = std::make_unique<MuxPassenger>(services_, door_.host(), std::move(events));
  return *passenger_;
}

void MuxVisit::begin_session(const MuxNewSession& request, std::vector<Fd> descriptors) {
  if (std::optional<Error> error = std::exchange(its_own_login_, std::nullopt)) {
    error->message += "; ssh logs in by itself, this time";
    return refuse(*error);
  }
  MuxPassenger& passenger = make_passenger();
  const int process = stream_->peer_process();
  if (!request.want_agent || process <= 0)
    return passenger.begin_session(request, std::move(descriptors), {});
  auto found = std::make_shared<std::string>();
  auto kept = std::make_shared<std::vector<Fd>>(std::move(descriptors));
  waiting_ = services_.io.in_pool(
      [found, process] { *found = facts_of(process, "environ"); },
      [this, found, kept, request] {
        const HopSpec* spec = door_.host().spec();
        const std::string socket = spec ? offered_agent(spec->forward_agent, spec->forwarded_agent, *found)
                                        : offered_agent({}, {}, *found);
        passenger_->begin_session(request, std::move(*kept), socket);
      });
}

void MuxVisit::begin_stdio_forward(const MuxNewStdioForward& request, std::vector<Fd> descriptors) {
  make_passenger().begin_stdio_forward(request.connect, std::move(descriptors));
}

// --- the proxy mode
// -------------------------------------------------------------------------------------------------------

void MuxVisit::on_request(const MuxProxy&) {
  if (Status may = services_.may_serve(); !may) return refuse(may.error());
  waiting_ =
      door_.host().acquire(Host::Asker::kUser, services_.login_wait(), [this](const Result<Mux*>& mux) {
        waiting_.reset();
        if (!mux) return refuse(mux.error());
        // It may have listeners there and no channel for hours: a lane would idle away.
        Mux* lasting = door_.host().lasting_mux();
        begin_proxy(lasting ? *lasting : **mux);
      });
}

void MuxVisit::begin_proxy(Mux& mux) {
  client_.answer(MuxProxyStarted{}, services_.io.now());
  // What is left of the answer goes first: it is a few bytes, and the socket was idle.
  flush();
  if (client_.state() != MuxClient::State::kProxy || !client_.output().empty()) return stream_->abort();
  const Bytes early = client_.take_proxy_input();
  proxy_ = std::make_unique<Proxy>(
      mux, [this] { work_soon_->schedule(); },
      [this](Mux& full, ProxyConnection::Found found) { return find_elsewhere(full, std::move(found)); },
      services_.io.timer([this] { work_proxy(); }));
  patience_timer_->stop();
  if (!early.empty()) proxy_->translator.feed(early);
  if (held_) stream_->resume_reading();
  work_soon_->schedule();
}

Result<std::unique_ptr<Operation>> MuxVisit::find_elsewhere(Mux& full, ProxyConnection::Found found) {
  SessionPool& pool = door_.host().sessions();
  if (Status possible = pool.refused(full); !possible) return possible.error();
  return pool.ask(
      {}, [](Mux&) { return SessionPool::Claim(); },
      [found = std::move(found)](const Result<SessionPool::Place>& there) {
        if (!there) return found(there.error());
        found(there->mux);
      });
}

void MuxVisit::work_proxy() {
  if (proxy_->gone()) return stream_->abort();
  proxy_->connection.run_deferred();
  ProxyTranslator& translator = proxy_->translator;
  translator.resume();
  while (!translator.output().empty()) {
    const std::size_t count = stream_->write(translator.output());
    if (count == 0) break;
    translator.consume_output(count);
  }
  if (const Error* error = translator.error()) log::info("{}: {}", stream_->describe(), error->message);
  if (translator.finished() || translator.error()) return stream_->close();
  if (held_ && translator.wants_input()) stream_->resume_reading();
  proxy_->look_timer->start(kProxyLook);
}

}  // namespace jump
