// LogFile: the log's file, kept within bounds: when it is full it becomes FILE.1, the older ones move up, and
// the oldest goes. Blocks: for the log's own thread, and tests.
//
// Invariants: a line is whole or not there; a file that somebody has moved away or removed is made anew; what
// could not be written is said once it can be again.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace jump::log {

class LogFile {
 public:
  // How often a path is asked for whether it still is this file, and one that cannot be opened for whether it
  // can now.
  static constexpr Duration kLookGap = seconds(1);

  // Where stdout and stderr are this file, they follow it.
  LogFile(std::string path, std::size_t most, int old_files);

  // Errors: kLimit (the disk is full: it may have room later), kRefused.
  Status open();
  // `lines`: each with its '\n'. What cannot be written is counted. False: there is no file.
  bool write(std::string_view lines, TimePoint now);
  std::uint64_t lost() const { return lost_; }

 private:
  void look(TimePoint now);
  void rotate();
  bool append(std::string_view bytes);
  std::string_view what_fits(std::string_view lines) const;
  void write_part(std::string_view lines);

  const std::string path_;
  const std::size_t most_;
  const int old_files_;
  Fd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::size_t size_ = 0;
  bool stdio_follows_ = false;
  TimePoint looked_ = kLongAgo;
  std::uint64_t lost_ = 0;
  std::uint64_t lost_unsaid_ = 0;
  int lost_code_ = 0;
};

}  // namespace jump::log
