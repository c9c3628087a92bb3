// FramedStreams: a session's three streams over one connection, for clients that cannot pass descriptors
// (PROTOCOL.md, "The frames of an upgraded session").
//
//   connection ─► frames ─► in()                     out(), err() ─► frames ─► connection
//                       └─► on_control(): resize, signal
//
// A frame is one byte type, four bytes length (big endian), its bytes. The connection may come later than the
// session begins to write: what is written waits, within the bound. Invariants: frames are never mixed; a
// client that does not read stops the session's output, a session that does not read stops the client; the
// last frame is the end, and nothing follows it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/byte_queue.h"
#include "session/session.h"
#include "stream/byte_stream.h"
#include "stream/io.h"

namespace jump {

class FramedStreams final : private StreamHandler {
 public:
  enum class Frame : std::uint8_t { kStdin, kStdout, kStderr, kEnd, kStdinEnd, kResize, kSignal };
  static constexpr std::size_t kMaxFrame = 64 * 1024;
  static constexpr std::size_t kHeader = 5;
  // Bytes of frames that the connection has not taken yet.
  static constexpr std::size_t kQueueMax = 256 * 1024;

  // `on_control` hears of kResize and kSignal; an error is a protocol error of the client's.
  using Control = std::function<Status(Frame type, std::string_view json)>;
  // `broken` hears once of a client that breaks the framing; nothing more is read from it, and finish() is to
  // follow.
  using Broken = std::function<void(const Error& error)>;
  // `gone` hears once when the connection has ended. It may hand this object to Io::dispose().
  using Gone = std::function<void()>;
  FramedStreams(Io& io, Control on_control, Broken broken, Gone gone);
  ~FramedStreams();

  // The session's ends; to be taken once, and to be destroyed before this.
  SessionStreams take_streams();
  void attach(std::unique_ptr<ByteStream> connection);
  // Sends the last frame and closes; `gone` follows.
  void finish(std::string_view end_json);

 private:
  class In;
  class Out;

  // StreamHandler: the connection
  std::size_t on_data(ByteView data) override;
  void on_eof() override;
  void on_writable() override;
  void on_peer_gone() override;
  void on_closed(const Error* error) override;

  std::size_t take(ByteView data);
  std::size_t on_payload(ByteView data);
  void begin_frame();
  void end_frame();
  void break_off(std::string message);
  void put(Frame type, ByteView data);
  void flush();
  void offer_room();

  Io& io_;
  const Control on_control_;
  Broken broken_;
  Gone gone_;
  In* in_ = nullptr;  // the session owns them
  Out* out_ = nullptr;
  Out* err_ = nullptr;
  std::unique_ptr<ByteStream> connection_;
  Bytes header_;
  Frame type_ = Frame::kStdin;
  std::size_t left_ = 0;  // of the payload
  std::string control_;   // payload of a control frame so far
  bool finishing_ = false;
  ByteQueue output_;
  std::unique_ptr<Deferred> room_soon_;
};

}  // namespace jump
