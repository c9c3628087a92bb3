#include "openssh/mux_passenger.h"

#include <fcntl.h>

#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "base/terminal.h"
#include "session/passed_descriptors.h"
#include "session/session_facts.h"

namespace jump {
namespace {

constexpr std::size_t kMaxComplaint = 2048;

SessionRequest session_request(const MuxNewSession& wanted, std::string agent_socket,
                               const std::vector<Fd>& descriptors) {
  SessionRequest request;
  request.kind = wanted.subsystem         ? SessionRequest::Kind::kSubsystem
                 : wanted.command.empty() ? SessionRequest::Kind::kShell
                                          : SessionRequest::Kind::kCommand;
  request.command = wanted.command;
  request.agent_socket = std::move(agent_socket);
  for (const std::string& each : wanted.environment) {
    const std::size_t equals = each.find('=');
    if (equals != std::string::npos)
      request.env.emplace_back(each.substr(0, equals), each.substr(equals + 1));
  }
  if (!wanted.want_tty) return request;
  TerminalRequest terminal;
  terminal.term = wanted.terminal;
  if (wanted.escape_char <= 0xff) terminal.escape = static_cast<std::uint8_t>(wanted.escape_char);
  for (const Fd& each : descriptors) {
    if (!is_terminal(each.get())) continue;
    terminal.size = terminal_size(each.get()).value_or(TerminalSize{});
    terminal.modes = terminal_modes(each.get());
    break;
  }
  if (terminal.modes.empty()) terminal.modes = encode_terminal_modes({});
  request.terminal = std::move(terminal);
  return request;
}

}  // namespace

MuxPassenger::MuxPassenger(const MuxServices& services, Host& host, Events events)
    : services_(services), host_(host), events_(std::move(events)) {
  soon_ = services.io.deferred([this] {
    if (auto call = std::exchange(call_, nullptr)) call();
  });
}

MuxPassenger::~MuxPassenger() = default;

void MuxPassenger::later(std::function<void()> call) {
  call_ = std::move(call);
  soon_->schedule();
}

// --- sessions
// -----------------------------------------------------------------------------------------------------------

void MuxPassenger::begin_session(const MuxNewSession& wanted, std::vector<Fd> descriptors,
                                 std::string agent_socket) {
  raw_terminal_ = wanted.want_tty;
  complaints_ = Fd(fcntl(descriptors[2].get(), F_DUPFD_CLOEXEC, 0));
  if (Status may = services_.may_serve(); !may) return fail_session(may.error());
  auto joined = services_.book.join(*this);
  if (!joined) return fail_session(joined.error());
  membership_ = *std::move(joined);
  SessionRequest request = session_request(wanted, std::move(agent_socket), descriptors);
  if (request.terminal) terminal_ = copy_of_terminal(descriptors);
  start_session(std::move(request), std::move(descriptors));
}

void MuxPassenger::start_session(SessionRequest request, std::vector<Fd> descriptors) {
  const bool wants_terminal = request.terminal.has_value();
  replace_unusable(services_.io, descriptors);
  Result<SessionStreams> streams = adopt_standard(services_.io, std::move(descriptors));
  if (!streams) return fail_session(streams.error());
  session_ = std::make_unique<Session>(services_.io, host_, membership_->id(), std::move(request),
                                       *std::move(streams));
  session_->set_connections([this] { return services_.book.listing(host_.name()); });
  session_->start(
      Host::Asker::kUser, services_.login_wait(),
      [this, wants_terminal](const Result<Session::Started>& started) {
        if (!started) return fail_session(started.error());
        close_elsewhere(services_.io, std::move(complaints_));
        services_.book.changed();
        events_.opened({});
        if (wants_terminal && !started->terminal) events_.no_terminal();
        resize();  // it may have changed during the login
      },
      [this](const SessionEnd& end) { on_session_end(end); });
}

void MuxPassenger::fail_session(const Error& error) {
  say(error.message + (error.hint.empty() ? "" : "; " + error.hint));
  later([this] {
    events_.opened({});
    events_.ended(kFailed);
  });
}

void MuxPassenger::on_session_end(const SessionEnd& end) {
  terminal_.reset();
  std::optional<std::uint32_t> status = end.exit_status;
  if (!status && end.error) log::info("{}: {}", membership_->id(), end.error->message);
  session_.reset();
  membership_.reset();
  events_.ended(status);
}

// On the client's stderr, which is nobody's yet.
void MuxPassenger::say(const std::string& line) {
  log::info("{}: {}", host_.name(), line);
  if (!complaints_) return;
  auto stream = services_.io.adopt_descriptor(std::move(complaints_), DescriptorUse::kWrite, "stderr");
  if (!stream) return;
  complaint_ = *std::move(stream);
  complaint_->write(
      as_bytes("jumpagent: " + printable(line, kMaxComplaint) + (raw_terminal_ ? "\r\n" : "\n")));
}

bool MuxPassenger::runs() const {
  if (session_) return session_->state() >= Session::State::kRunning;
  return relay_ && relay_->state() >= StreamRelay::State::kRunning;
}

void MuxPassenger::resize() {
  if (!session_ || !terminal_) return;
  if (auto size = terminal_size(terminal_.get())) session_->resize(*size);
}

// --- stdio forwards
// -----------------------------------------------------------------------------------------------------

void MuxPassenger::begin_stdio_forward(const MuxEnd& target, std::vector<Fd> descriptors) {
  const auto refuse = [this](const Error& error) { later([this, error] { events_.opened(error); }); };
  if (Status may = services_.may_serve(); !may) return refuse(may.error());
  auto joined = services_.book.join(*this);
  if (!joined) return refuse(joined.error());
  membership_ = *std::move(joined);
  Result<std::unique_ptr<ByteStream>> stdio = adopt_stream(services_.io, std::move(descriptors));
  if (!stdio) return refuse(stdio.error());
  stdio_ = *std::move(stdio);
  Endpoint to;
  if (target.is_unix()) {
    to.path = target.name;
  } else {
    to = Endpoint{target.name, static_cast<std::uint16_t>(target.port), {}};
  }
  relay_ = std::make_unique<StreamRelay>(services_.io, host_, membership_->id(), std::move(to));
  relay_->start(Host::Asker::kUser, services_.login_wait(), services_.open_timeout(),
                [this](const Status& opened) {
                  services_.book.changed();
                  events_.opened(opened);
                  if (!opened) return;
                  relay_->carry(std::move(stdio_), [this](const Error*) { events_.ended(std::nullopt); });
                });
}

// --- for the book
// -------------------------------------------------------------------------------------------------------

SessionFacts MuxPassenger::facts() const {
  SessionFacts facts;
  facts.host = host_.name();
  facts.state = "ending";
  if (session_) fill_facts(*session_, facts);
  if (relay_) fill_facts(*relay_, facts);
  return facts;
}

void MuxPassenger::end_now(const Error& reason) {
  if (session_) session_->end(reason);
  if (relay_) events_.ended(std::nullopt);
}

}  // namespace jump
