// The messages of OpenSSH's multiplexing protocol, version 4 (PROTOCOL.mux, and what mux.c does beyond it),
// as values, from and to bytes. Requests are a client's, answers ours; both directions are here, so that
// tests can be either side. A packet begins with uint32 type and, but for HELLO, uint32 request id, which the
// answer repeats; booleans are uint32.
//
// Texts are the client's words, without NUL and otherwise unchecked. As OpenSSH does, decoding ignores what
// follows the last field it knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

inline constexpr std::uint32_t kMuxVersion = 4;

// --- bounds ------------------------------------------------------------------------------------------------

inline constexpr std::size_t kMuxMaxEnvironment = 4096;  // variables; OpenSSH's. Further ones are dropped
inline constexpr std::size_t kMuxMaxExtensions = 64;     // of a HELLO; there is one in the world
inline constexpr std::size_t kMuxMaxName = 4096;         // of a host or path: PATH_MAX of most systems
inline constexpr std::size_t kMuxMaxTerminal = 1024;     // $TERM; terminfo's names have 14 to 128 bytes

// --- both ways ---------------------------------------------------------------------------------------------

struct MuxExtension {
  std::string name;
  std::string value;
  bool operator==(const MuxExtension&) const = default;
};

struct MuxHello {
  std::uint32_t version = kMuxVersion;
  std::vector<MuxExtension> extensions;
  bool operator==(const MuxHello&) const = default;
};

// The extension behind `ssh -O conninfo` and `-O channels`: clients ask for MuxExtInfo only where it is
// offered.
inline constexpr std::string_view kMuxInfoExtension = "info";

// --- requests ----------------------------------------------------------------------------------------------

// A command, shell or subsystem. Its standard input, output and error follow the message as descriptors, each
// on a byte of its own.
struct MuxNewSession {
  static constexpr std::size_t kDescriptors = 3;
  static constexpr std::uint32_t kNoEscape = 0xffffffff;

  std::uint32_t request_id = 0;
  bool want_tty = false;
  bool want_x11 = false;
  bool want_agent = false;
  bool subsystem = false;  // `command` is its name
  std::uint32_t escape_char = kNoEscape;
  std::string terminal;                  // $TERM
  std::string command;                   // empty: the user's shell
  std::vector<std::string> environment;  // "NAME=value"
  std::size_t dropped_environment = 0;   // without a name, or beyond the bound
  bool operator==(const MuxNewSession&) const = default;
};

struct MuxAliveCheck {
  std::uint32_t request_id = 0;
  bool operator==(const MuxAliveCheck&) const = default;
};

struct MuxTerminate {
  std::uint32_t request_id = 0;
  bool operator==(const MuxTerminate&) const = default;
};

enum class MuxForwardKind : std::uint32_t { kLocal = 1, kRemote = 2, kDynamic = 3 };

// One side of a forward.
struct MuxEnd {
  static constexpr std::uint32_t kUnixPort = 0xfffffffe;  // (uint32)-2

  // A name or address, or with kUnixPort a path. Where to listen: "" is the default (loopback, or what
  // GatewayPorts says), "*" every address.
  std::string name;
  std::uint32_t port = 0;  // 0 to 65535, or kUnixPort; 0 where to listen: chosen by the listener

  bool is_unix() const { return port == kUnixPort; }
  bool operator==(const MuxEnd&) const = default;
};

struct MuxForward {
  MuxForwardKind kind = MuxForwardKind::kLocal;
  MuxEnd listen;
  MuxEnd connect;  // of kDynamic, and of `ssh -R [bind:]port` (is_remote_socks()): "socks", port 0

  bool is_remote_socks() const { return kind == MuxForwardKind::kRemote && connect.port == 0; }
  bool operator==(const MuxForward&) const = default;
};

struct MuxOpenForward {
  std::uint32_t request_id = 0;
  MuxForward forward;
  bool operator==(const MuxOpenForward&) const = default;
};

struct MuxCloseForward {
  std::uint32_t request_id = 0;
  MuxForward forward;
  bool operator==(const MuxCloseForward&) const = default;
};

// `ssh -W`. Standard input and output follow as descriptors.
struct MuxNewStdioForward {
  static constexpr std::size_t kDescriptors = 2;

  std::uint32_t request_id = 0;
  MuxEnd connect;
  bool operator==(const MuxNewStdioForward&) const = default;
};

struct MuxStopListening {
  std::uint32_t request_id = 0;
  bool operator==(const MuxStopListening&) const = default;
};

// From the answer on, the socket carries SSH packets (openssh/proxy_translator.h).
struct MuxProxy {
  std::uint32_t request_id = 0;
  bool operator==(const MuxProxy&) const = default;
};

struct MuxExtInfo {
  std::uint32_t request_id = 0;
  std::string name;  // "connection", "channels"
  bool operator==(const MuxExtInfo&) const = default;
};

using MuxRequest = std::variant<MuxNewSession, MuxAliveCheck, MuxTerminate, MuxOpenForward, MuxCloseForward,
                                MuxNewStdioForward, MuxStopListening, MuxProxy, MuxExtInfo>;

std::uint32_t request_id(const MuxRequest& request);
std::size_t descriptors_of(const MuxRequest& request);
// Why a request makes no sense although it is well-formed; text for a MuxFailure. A kind of forward is one of
// the enum's only if there is no objection.
std::optional<std::string> mux_objection(const MuxRequest& request);

// --- answers -----------------------------------------------------------------------------------------------

struct MuxOk {
  std::uint32_t request_id = 0;
  bool operator==(const MuxOk&) const = default;
};

struct MuxPermissionDenied {
  std::uint32_t request_id = 0;
  std::string reason;
  bool operator==(const MuxPermissionDenied&) const = default;
};

struct MuxFailure {
  std::uint32_t request_id = 0;
  std::string reason;
  bool operator==(const MuxFailure&) const = default;
};

// To MuxAliveCheck. Clients send SIGWINCH to that process.
struct MuxAlive {
  std::uint32_t request_id = 0;
  std::uint32_t pid = 0;
  bool operator==(const MuxAlive&) const = default;
};

// To MuxNewSession, MuxNewStdioForward.
struct MuxSessionOpened {
  std::uint32_t request_id = 0;
  std::uint32_t session_id = 0;
  bool operator==(const MuxSessionOpened&) const = default;
};

// To MuxOpenForward of kRemote with port 0.
struct MuxRemotePort {
  std::uint32_t request_id = 0;
  std::uint32_t port = 0;
  bool operator==(const MuxRemotePort&) const = default;
};

// To MuxProxy.
struct MuxProxyStarted {
  std::uint32_t request_id = 0;
  bool operator==(const MuxProxyStarted&) const = default;
};

// To MuxExtInfo. The client prints `text` whatever `known` says.
struct MuxExtInfoText {
  std::uint32_t request_id = 0;
  bool known = true;
  std::string text;
  bool operator==(const MuxExtInfoText&) const = default;
};

// Not to a request but of a session: how it ended, and that it has no TTY.
struct MuxExitMessage {
  std::uint32_t session_id = 0;
  std::uint32_t status = 0;
  bool operator==(const MuxExitMessage&) const = default;
};

struct MuxTtyAllocFail {
  std::uint32_t session_id = 0;
  bool operator==(const MuxTtyAllocFail&) const = default;
};

using MuxAnswer =
    std::variant<MuxOk, MuxPermissionDenied, MuxFailure, MuxAlive, MuxSessionOpened, MuxRemotePort,
                 MuxProxyStarted, MuxExtInfoText, MuxExitMessage, MuxTtyAllocFail>;

// --- bytes -------------------------------------------------------------------------------------------------

// A packet's type and request id; of a HELLO the id is 0. Error: kProtocol, it is too short.
struct MuxHeader {
  static constexpr std::uint32_t kHello = 1;
  std::uint32_t type = 0;
  std::uint32_t request_id = 0;
};
Result<MuxHeader> decode_mux_header(ByteView packet);

// `packet` is one without its length. Errors: kProtocol, which names the message and the field: such a client
// cannot be gone on with; kUnsupported, a type that is unknown: its message is fit for a MuxFailure.
Result<MuxHello> decode_mux_hello(ByteView packet);
Result<MuxRequest> decode_mux_request(ByteView packet);
Result<MuxAnswer> decode_mux_answer(ByteView packet);

// Complete with their length. Texts beyond what fits a packet are cut.
Bytes encode_mux(const MuxHello& hello);
Bytes encode_mux(const MuxRequest& request);
Bytes encode_mux(const MuxAnswer& answer);
// A MuxFailure in answer to a MuxAliveCheck: without the request id that all others have, as ssh(1) looks for
// the text in its place there (mux_client_request_alive), and would show none.
Bytes encode_mux_alive_failure(std::string_view text);

}  // namespace jump
