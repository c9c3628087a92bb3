#include "openssh/mux_messages.h"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/wire.h"
#include "openssh/mux_framer.h"

namespace jump {
namespace {

constexpr std::uint32_t kNewSession = 0x10000002;
constexpr std::uint32_t kAliveCheck = 0x10000004;
constexpr std::uint32_t kTerminate = 0x10000005;
constexpr std::uint32_t kOpenForward = 0x10000006;
constexpr std::uint32_t kCloseForward = 0x10000007;
constexpr std::uint32_t kNewStdioForward = 0x10000008;
constexpr std::uint32_t kStopListening = 0x10000009;
constexpr std::uint32_t kProxy = 0x1000000f;
constexpr std::uint32_t kExtInfo = 0x20000001;

constexpr std::uint32_t kOk = 0x80000001;
constexpr std::uint32_t kPermissionDenied = 0x80000002;
constexpr std::uint32_t kFailure = 0x80000003;
constexpr std::uint32_t kExitMessage = 0x80000004;
constexpr std::uint32_t kAlive = 0x80000005;
constexpr std::uint32_t kSessionOpened = 0x80000006;
constexpr std::uint32_t kRemotePort = 0x80000007;
constexpr std::uint32_t kTtyAllocFail = 0x80000008;
constexpr std::uint32_t kProxyStarted = 0x8000000f;
constexpr std::uint32_t kExtInfoText = 0x90000001;

constexpr std::uint32_t kMaxPort = 65535;
// Of an answer's text: the packet's bound less what stands beside it.
constexpr std::size_t kMaxText = MuxFramer::kMaxPacket - 64;

// --- reading -----------------------------------------------------------------------------------------------

// Reads the fields of one message and remembers the first that was not there.
class Fields {
 public:
  Fields(ByteView data, const char* message) : in_(data), message_(message) {}

  std::uint32_t number(const char* field) {
    std::uint32_t value = in_.u32();
    note(in_.ok(), field);
    return value;
  }
  bool flag(const char* field) { return number(field) != 0; }
  // C strings: a NUL is good at the very end only, and not a part of it.
  std::string text(const char* field) {
    std::string_view value = in_.text();
    note(in_.ok(), field);
    if (!value.empty() && value.back() == '\0') value.remove_suffix(1);
    note(value.find('\0') == std::string_view::npos, field);
    return std::string(value);
  }
  std::string bytes(const char* field) {
    std::string value(in_.text());
    note(in_.ok(), field);
    return value;
  }
  bool more() const { return !broken_ && in_.left() > 0; }

  std::optional<Error> error() const {
    if (!broken_) return std::nullopt;
    return Error{Errc::kProtocol, std::string("malformed ") + message_ + ": " + broken_, {}};
  }

 private:
  void note(bool good, const char* field) {
    if (!good && !broken_) broken_ = field;
  }

  WireReader in_;
  const char* message_;
  const char* broken_ = nullptr;
};

template <class T>
Result<MuxRequest> done(const Fields& in, T message) {
  if (std::optional<Error> error = in.error()) return *std::move(error);
  return MuxRequest(std::move(message));
}

Result<MuxRequest> read_new_session(Fields in, std::uint32_t id) {
  MuxNewSession out;
  out.request_id = id;
  in.bytes("reserved");
  out.want_tty = in.flag("want tty");
  out.want_x11 = in.flag("want X11");
  out.want_agent = in.flag("want agent");
  out.subsystem = in.flag("subsystem");
  out.escape_char = in.number("escape character");
  out.terminal = in.text("terminal type");
  out.command = in.text("command");
  while (in.more()) {
    std::string variable = in.text("environment");
    std::size_t name_end = variable.find('=');
    bool named = name_end != std::string::npos && name_end > 0;
    if (named && out.environment.size() < kMuxMaxEnvironment) {
      out.environment.push_back(std::move(variable));
    } else {
      out.dropped_environment++;
    }
  }
  return done(in, std::move(out));
}

MuxEnd read_end(Fields& in, const char* name, const char* port) {
  MuxEnd end;
  end.name = in.text(name);
  end.port = in.number(port);
  return end;
}

template <class T>
Result<MuxRequest> read_forward(Fields in, std::uint32_t id) {
  T out;
  out.request_id = id;
  out.forward.kind = static_cast<MuxForwardKind>(in.number("kind"));
  out.forward.listen = read_end(in, "listen host", "listen port");
  out.forward.connect = read_end(in, "connect host", "connect port");
  return done(in, std::move(out));
}

Result<MuxRequest> read_stdio_forward(Fields in, std::uint32_t id) {
  MuxNewStdioForward out;
  out.request_id = id;
  in.bytes("reserved");
  out.connect = read_end(in, "connect host", "connect port");
  return done(in, std::move(out));
}

Result<MuxRequest> read_ext_info(Fields in, std::uint32_t id) {
  MuxExtInfo out{id, in.text("name")};
  return done(in, std::move(out));
}

Result<MuxAnswer> read_answer(Fields& in, std::uint32_t type, std::uint32_t id) {
  switch (type) {
    case kOk:
      return MuxAnswer(MuxOk{id});
    case kPermissionDenied:
      return MuxAnswer(MuxPermissionDenied{id, in.text("reason")});
    case kFailure:
      return MuxAnswer(MuxFailure{id, in.text("reason")});
    case kExitMessage:
      return MuxAnswer(MuxExitMessage{id, in.number("status")});
    case kAlive:
      return MuxAnswer(MuxAlive{id, in.number("pid")});
    case kSessionOpened:
      return MuxAnswer(MuxSessionOpened{id, in.number("session id")});
    case kRemotePort:
      return MuxAnswer(MuxRemotePort{id, in.number("port")});
    case kTtyAllocFail:
      return MuxAnswer(MuxTtyAllocFail{id});
    case kProxyStarted:
      return MuxAnswer(MuxProxyStarted{id});
    case kExtInfoText: {
      bool known = in.flag("status");
      return MuxAnswer(MuxExtInfoText{id, known, in.text("text")});
    }
    default:
      return Error{Errc::kUnsupported, "an answer of an unknown type", {}};
  }
}

// --- sense -------------------------------------------------------------------------------------------------

const char* fault(const MuxEnd& end) {
  if (end.is_unix() && end.name.empty()) return "Invalid forwarding request: a Unix socket without a path";
  if (!end.is_unix() && end.port > kMaxPort) return "Invalid forwarding request: a port above 65535";
  if (end.name.size() > kMuxMaxName) return "Invalid forwarding request: a name that is too long";
  return nullptr;
}

// As OpenSSH checks it.
const char* fault(const MuxForward& forward) {
  bool dynamic = forward.kind == MuxForwardKind::kDynamic;
  if (!dynamic && forward.kind != MuxForwardKind::kLocal && forward.kind != MuxForwardKind::kRemote) {
    return "Invalid forwarding request: an unknown kind";
  }
  if (const char* wrong = fault(forward.listen)) return wrong;
  if (dynamic && forward.listen.is_unix()) return "Invalid forwarding request: dynamic on a Unix socket";
  if (dynamic) return nullptr;
  if (const char* wrong = fault(forward.connect)) return wrong;
  if (forward.connect.name.empty()) return "Invalid forwarding request: no host to connect to";
  bool portless = forward.kind == MuxForwardKind::kLocal && forward.connect.port == 0;
  return portless ? "Invalid forwarding request: no port to connect to" : nullptr;
}

const char* fault(const MuxOpenForward& m) { return fault(m.forward); }
const char* fault(const MuxCloseForward& m) { return fault(m.forward); }
const char* fault(const MuxNewStdioForward& m) {
  if (const char* wrong = fault(m.connect)) return wrong;
  if (m.connect.name.empty()) return "Invalid forwarding request: no host to connect to";
  return m.connect.port == 0 ? "Invalid forwarding request: no port to connect to" : nullptr;
}
const char* fault(const MuxNewSession& m) {
  return m.terminal.size() > kMuxMaxTerminal ? "Invalid session request: the terminal type is too long"
                                             : nullptr;
}
template <class T>
const char* fault(const T&) {
  return nullptr;
}

// --- writing -----------------------------------------------------------------------------------------------

Bytes framed(const WireWriter& packet) { return WireWriter().string(packet.view()).take(); }

std::string_view cut(std::string_view text) { return text.substr(0, kMaxText); }

void put_end(WireWriter& out, const MuxEnd& end) { out.string(end.name).u32(end.port); }

void put_forward(WireWriter& out, const MuxForward& forward) {
  out.u32(static_cast<std::uint32_t>(forward.kind));
  put_end(out, forward.listen);
  put_end(out, forward.connect);
}

// Each writes what follows type and request (or session) id, and says the type.
std::uint32_t put(WireWriter& out, const MuxNewSession& m) {
  out.string(std::string_view()).u32(m.want_tty).u32(m.want_x11).u32(m.want_agent).u32(m.subsystem);
  out.u32(m.escape_char).string(m.terminal).string(m.command);
  for (const std::string& variable : m.environment) out.string(variable);
  return kNewSession;
}
std::uint32_t put(WireWriter&, const MuxAliveCheck&) { return kAliveCheck; }
std::uint32_t put(WireWriter&, const MuxTerminate&) { return kTerminate; }
std::uint32_t put(WireWriter& out, const MuxOpenForward& m) {
  return put_forward(out, m.forward), kOpenForward;
}
std::uint32_t put(WireWriter& out, const MuxCloseForward& m) {
  return put_forward(out, m.forward), kCloseForward;
}
std::uint32_t put(WireWriter& out, const MuxNewStdioForward& m) {
  out.string(std::string_view());
  put_end(out, m.connect);
  return kNewStdioForward;
}
std::uint32_t put(WireWriter&, const MuxStopListening&) { return kStopListening; }
std::uint32_t put(WireWriter&, const MuxProxy&) { return kProxy; }
std::uint32_t put(WireWriter& out, const MuxExtInfo& m) { return out.string(m.name), kExtInfo; }

std::uint32_t put(WireWriter&, const MuxOk&) { return kOk; }
std::uint32_t put(WireWriter& out, const MuxPermissionDenied& m) {
  return out.string(cut(m.reason)), kPermissionDenied;
}
std::uint32_t put(WireWriter& out, const MuxFailure& m) { return out.string(cut(m.reason)), kFailure; }
std::uint32_t put(WireWriter& out, const MuxAlive& m) { return out.u32(m.pid), kAlive; }
std::uint32_t put(WireWriter& out, const MuxSessionOpened& m) {
  return out.u32(m.session_id), kSessionOpened;
}
std::uint32_t put(WireWriter& out, const MuxRemotePort& m) { return out.u32(m.port), kRemotePort; }
std::uint32_t put(WireWriter&, const MuxProxyStarted&) { return kProxyStarted; }
std::uint32_t put(WireWriter& out, const MuxExtInfoText& m) {
  return out.u32(m.known).string(cut(m.text)), kExtInfoText;
}
std::uint32_t put(WireWriter& out, const MuxExitMessage& m) { return out.u32(m.status), kExitMessage; }
std::uint32_t put(WireWriter&, const MuxTtyAllocFail&) { return kTtyAllocFail; }

template <class T>
std::uint32_t id_of(const T& message) {
  if constexpr (requires { message.request_id; }) {
    return message.request_id;
  } else {
    return message.session_id;
  }
}

template <class Message>
Bytes encode(const Message& message) {
  return std::visit(
      [](const auto& each) {
        WireWriter body, packet;
        std::uint32_t type = put(body, each);
        packet.u32(type).u32(id_of(each)).raw(body.view());
        return framed(packet);
      },
      message);
}

}  // namespace

std::uint32_t request_id(const MuxRequest& request) {
  return std::visit([](const auto& each) { return each.request_id; }, request);
}

std::size_t descriptors_of(const MuxRequest& request) {
  if (std::holds_alternative<MuxNewSession>(request)) return MuxNewSession::kDescriptors;
  if (std::holds_alternative<MuxNewStdioForward>(request)) return MuxNewStdioForward::kDescriptors;
  return 0;
}

std::optional<std::string> mux_objection(const MuxRequest& request) {
  const char* wrong = std::visit([](const auto& each) { return fault(each); }, request);
  return wrong ? std::optional<std::string>(wrong) : std::nullopt;
}

Result<MuxHeader> decode_mux_header(ByteView packet) {
  WireReader in(packet);
  MuxHeader header;
  header.type = in.u32();
  if (in.ok() && header.type != MuxHeader::kHello) header.request_id = in.u32();
  if (!in.ok()) return Error{Errc::kProtocol, "malformed message: type or request id", {}};
  return header;
}

Result<MuxHello> decode_mux_hello(ByteView packet) {
  Fields in(packet, "hello");
  MuxHello hello;
  if (in.number("type") != MuxHeader::kHello)
    return Error{Errc::kProtocol, "the first message is no hello", {}};
  hello.version = in.number("version");
  while (in.more()) {
    if (hello.extensions.size() == kMuxMaxExtensions) {
      return Error{
          Errc::kProtocol, "a hello with more than " + std::to_string(kMuxMaxExtensions) + " extensions", {}};
    }
    MuxExtension extension;
    extension.name = in.text("extension name");
    extension.value = in.bytes("extension value");
    hello.extensions.push_back(std::move(extension));
  }
  if (in.error()) return *in.error();
  return hello;
}

Result<MuxRequest> decode_mux_request(ByteView packet) {
  Result<MuxHeader> header = decode_mux_header(packet);
  if (!header) return std::move(header).error();
  std::uint32_t id = header->request_id;
  ByteView body = packet.subspan(std::min<std::size_t>(8, packet.size()));
  switch (header->type) {
    case kNewSession:
      return read_new_session(Fields(body, "new session"), id);
    case kAliveCheck:
      return MuxRequest(MuxAliveCheck{id});
    case kTerminate:
      return MuxRequest(MuxTerminate{id});
    case kOpenForward:
      return read_forward<MuxOpenForward>(Fields(body, "open forward"), id);
    case kCloseForward:
      return read_forward<MuxCloseForward>(Fields(body, "close forward"), id);
    case kNewStdioForward:
      return read_stdio_forward(Fields(body, "new stdio forward"), id);
    case kStopListening:
      return MuxRequest(MuxStopListening{id});
    case kProxy:
      return MuxRequest(MuxProxy{id});
    case kExtInfo:
      return read_ext_info(Fields(body, "info request"), id);
    case MuxHeader::kHello:
      return Error{Errc::kProtocol, "a second hello", {}};
    default:
      return Error{Errc::kUnsupported, "unsupported request", {}};
  }
}

Result<MuxAnswer> decode_mux_answer(ByteView packet) {
  Fields in(packet, "answer");
  std::uint32_t type = in.number("type"), id = in.number("id");
  Result<MuxAnswer> answer = read_answer(in, type, id);
  if (in.error()) return *in.error();
  return answer;
}

Bytes encode_mux(const MuxHello& hello) {
  WireWriter packet;
  packet.u32(MuxHeader::kHello).u32(hello.version);
  for (const MuxExtension& each : hello.extensions) packet.string(each.name).string(each.value);
  return framed(packet);
}

Bytes encode_mux(const MuxRequest& request) { return encode(request); }
Bytes encode_mux(const MuxAnswer& answer) { return encode(answer); }

Bytes encode_mux_alive_failure(std::string_view text) {
  WireWriter body;
  body.u32(kFailure).string(text);
  WireWriter packet;
  packet.string(body.view());
  return packet.take();
}

}  // namespace jump
