#include "control/session_wishes.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/terminal.h"

namespace jump {
namespace {

constexpr std::size_t kMaxEnv = 4096;  // variables of one session
// sshd ends the whole connection, with all that goes over it, at a packet of more than 256 KiB (its
// PACKET_MAX_SIZE), and at a zero byte in a string. The rest of a packet is far less than the difference.
constexpr std::size_t kMaxString = 255 * 1024;

Status check_string(std::string_view field, const std::string& value) {
  if (value.find('\0') != std::string::npos)
    return Error{Errc::kInvalid, std::string(field) + ": it has a zero byte, which no server takes", {}};
  if (value.size() <= kMaxString) return {};
  return Error{Errc::kInvalid,
               std::string(field) + ": " + std::to_string(value.size()) + " bytes, and a server takes " +
                   std::to_string(kMaxString) + " at most",
               "send it by stdin"};
}

const Fd* find_terminal(const std::vector<Fd>& descriptors) {
  const auto found = std::find_if(descriptors.begin(), descriptors.end(),
                                  [](const Fd& fd) { return is_terminal(fd.get()); });
  return found == descriptors.end() ? nullptr : &*found;
}

Result<std::map<std::uint8_t, std::uint32_t>> named_modes(const std::map<std::string, std::uint64_t>& named) {
  std::map<std::uint8_t, std::uint32_t> modes;
  for (const auto& [name, value] : named) {
    unsigned opcode = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), opcode);
    if (failed != std::errc() || end != name.data() + name.size() || opcode == 0 || opcode > 159 ||
        value > UINT32_MAX) {
      return Error{
          Errc::kInvalid, "params.tty.modes." + name + ": expected an opcode, 1 to 159, and 32 bits", {}};
    }
    modes[static_cast<std::uint8_t>(opcode)] = static_cast<std::uint32_t>(value);
  }
  return modes;
}

Result<TerminalRequest> terminal_request(const proto::SessionTty& tty, const std::vector<Fd>& descriptors) {
  TerminalRequest request;
  const Fd* terminal = find_terminal(descriptors);
  if (terminal) {
    request.size = terminal_size(terminal->get()).value_or(TerminalSize{});
    request.modes = terminal_modes(terminal->get());
  }
  const auto set = [](std::uint32_t& to, const std::optional<std::uint64_t>& from) {
    if (from) to = static_cast<std::uint32_t>(std::min<std::uint64_t>(*from, UINT32_MAX));
  };
  set(request.size.columns, tty.columns);
  set(request.size.rows, tty.rows);
  set(request.size.width, tty.width);
  set(request.size.height, tty.height);
  request.term = tty.term.value_or("");
  if (tty.escape && tty.escape->size() > 1)
    return Error{Errc::kInvalid, "params.tty.escape: expected one character, or none", {}};
  if (tty.escape && !tty.escape->empty()) request.escape = static_cast<std::uint8_t>(tty.escape->front());
  if (!tty.modes && !request.modes.empty()) return request;
  auto modes = named_modes(tty.modes.value_or(std::map<std::string, std::uint64_t>()));
  if (!modes) return modes.error();
  request.modes = encode_terminal_modes(*modes);
  return request;
}

}  // namespace

Result<SessionRequest> session_request(const proto::SessionOpenParams& params,
                                       const std::vector<Fd>& descriptors) {
  SessionRequest request;
  if (params.command && params.subsystem)
    return Error{Errc::kInvalid, "params: a session is a command or a subsystem, not both", {}};
  if (params.command) request.kind = SessionRequest::Kind::kCommand;
  if (params.subsystem) request.kind = SessionRequest::Kind::kSubsystem;
  request.command = params.command ? *params.command : params.subsystem.value_or("");
  if (params.subsystem && request.command.empty())
    return Error{Errc::kInvalid, "params.subsystem: expected a name", {}};
  if (params.env.size() > kMaxEnv)
    return Error{Errc::kInvalid, "params.env: more than " + std::to_string(kMaxEnv) + " variables", {}};
  request.env.assign(params.env.begin(), params.env.end());
  if (Status fits = check_string(params.subsystem ? "params.subsystem" : "params.command", request.command);
      !fits)
    return fits.error();
  for (const auto& [name, value] : request.env) {
    if (Status fits = check_string("params.env", name + value); !fits) return fits.error();
  }
  request.agent_socket = params.agent_socket;
  if (!request.agent_socket.empty() && request.agent_socket.front() != '/')
    return Error{Errc::kInvalid, "params.agent_socket: expected an absolute path", {}};
  if (!params.tty) return request;
  Result<TerminalRequest> terminal = terminal_request(*params.tty, descriptors);
  if (!terminal) return terminal.error();
  if (Status fits = check_string("params.tty.term", terminal->term); !fits) return fits.error();
  request.terminal = *std::move(terminal);
  return request;
}

Status check_signal(const std::string& name) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '@' || c == '.' || c == '-'; };
  if (!name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), fits)) return {};
  return Error{Errc::kInvalid, "params.signal: expected a name as RFC 4254 has it: TERM", {}};
}

Result<Endpoint> stream_target(const proto::StreamOpenParams& params) {
  if (Status fits = check_string("params.path", params.path); !fits) return fits.error();
  if (Status fits = check_string("params.host", params.host); !fits) return fits.error();
  if (!params.path.empty()) {
    if (!params.host.empty() || params.port)
      return Error{Errc::kInvalid, "params: a stream leads to host and port, or to a path, not both", {}};
    return Endpoint{{}, 0, params.path};
  }
  if (params.host.empty()) return Error{Errc::kInvalid, "params.host: expected a name or an address", {}};
  if (!params.port || *params.port == 0 || *params.port > 65535)
    return Error{Errc::kInvalid, "params.port: expected 1 to 65535", {}};
  return Endpoint{params.host, static_cast<std::uint16_t>(*params.port), {}};
}

proto::HostOptionsResult host_options(const std::string& host, const HopSpec& spec) {
  proto::HostOptionsResult result;
  result.host = host;
  result.send_env = spec.send_env;
  for (const std::string& each : spec.set_env) {
    const std::size_t equals = each.find('=');
    if (equals != std::string::npos)
      result.set_env.try_emplace(each.substr(0, equals), each.substr(equals + 1));
  }
  if (!spec.forward_agent.empty()) result.forward_agent = spec.forward_agent;
  if (!spec.forwarded_agent.empty()) result.identity_agent = spec.forwarded_agent;
  if (!spec.request_tty.empty()) result.request_tty = spec.request_tty;
  if (!spec.session_type.empty()) result.session_type = spec.session_type;
  result.remote_command = spec.remote_command;
  result.stdin_null = spec.stdin_null;
  result.fork_after_authentication = spec.fork_after_authentication;
  result.escape_char = spec.escape_char;
  return result;
}

proto::ErrorInfo error_info(const Error& error) {
  return {std::string(errc_name(error.code)), error.message, error.hint};
}

proto::SessionEnded session_ended(const std::string& id, const SessionEnd& end) {
  proto::SessionEnded told;
  told.session = id;
  if (end.exit_status) told.exit_status = *end.exit_status;
  if (!end.exit_signal.empty()) {
    told.exit_signal = end.exit_signal;
    told.core_dumped = end.core_dumped;
    told.message = end.message;
  }
  if (end.error) told.error = error_info(*end.error);
  return told;
}

Error missing_descriptors(const std::string& wanted, std::size_t came) {
  return Error{Errc::kInvalid,
               "descriptors are missing: " + wanted + " have to come with the request's line, " +
                   std::to_string(came) + " came",
               "pass them with sendmsg (SCM_RIGHTS), or ask for an upgrade"};
}

Error no_such_session(const std::string& id) {
  return Error{Errc::kNotFound, "this connection has no session '" + id.substr(0, 64) + "'", {}};
}

}  // namespace jump
