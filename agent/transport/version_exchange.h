// VersionExchange: watches the bytes that a server sends before its first packet (RFC 4253 section 4.2): some
// lines of text perhaps, then "SSH-2.0-software comments". libssh2 reads the same bytes but accepts any
// number of lines of anything; this is what stops a web server, a mail server or an endless stream early, and
// says what it was. Invariant: the line that it takes for the version is the line that libssh2 takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace jump {

class VersionExchange {
 public:
  // As OpenSSH's client has it: 1,024 lines before the version. With that, 64 KiB is plenty.
  static constexpr std::size_t kMaxLines = 1024;
  static constexpr std::size_t kMaxBytes = 64 * 1024;
  // libssh2 cuts lines at 8,192 bytes; longer ones must not get that far.
  static constexpr std::size_t kMaxLine = 8000;

  // Takes the next byte. False: this is no SSH server, or not one of ours; see error(). Not to be called once
  // done().
  bool take(std::uint8_t byte);
  bool done() const { return done_; }
  // The server's version line, printable; empty until done().
  const std::string& version() const { return version_; }
  const Error& error() const { return error_; }
  // What the server said instead of a version so far, printable and short; may be empty.
  std::string said() const;

 private:
  bool end_line();
  bool fail(Errc code, std::string message);

  std::string line_;
  std::string first_line_;  // of those before the version
  std::string version_;
  Error error_;
  std::size_t lines_ = 0;
  std::size_t bytes_ = 0;
  bool done_ = false;
};

}  // namespace jump
