// Persistence: persistent forwards come back with the next agent. At the start it reads the state file and
// restores what is in it; from then on the file follows the list.
//
//   start(): pool: lock, load ─► Forwards::restore()        Forwards changed ─► pool: save, one at a time
//
// Invariants: nothing is written before the file was read; while another agent has the file, it is tried
// again, and when_read() says why there is no persistence. The loop thread touches no file.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "forward/forwards.h"
#include "forward/state_file.h"
#include "stream/io.h"

namespace jump {

class Persistence {
 public:
  // Another agent that has the file may be on its way out, or stay; a directory may be mended: it is tried
  // ever more rarely.
  static constexpr Duration kRetryGap = milliseconds(100);
  static constexpr Duration kRetryGapMax = seconds(5);
  // After a failed write: a full disk may have room again.
  static constexpr Duration kSaveRetryGap = seconds(5);

  // `path` empty: there is nothing to restore and nothing can be persistent.
  Persistence(Io& io, Forwards& forwards, std::string path);
  ~Persistence();
  Persistence(const Persistence&) = delete;
  Persistence& operator=(const Persistence&) = delete;

  void start();
  bool started() const { return started_; }
  // Nothing is read or written any more, so that forwards may be closed and yet come back. Who waits for a
  // write hears kClosed.
  void stop();
  // The list of forwards may be another now.
  void on_changed();

  const std::string& path() const { return file_->path(); }
  // `done` hears once what is wanted now is on disk, or why it is not; then it is tried again later.
  void when_saved(std::function<void(const Status&)> done);
  // `done` hears, once the file was read, whether a forward can be made persistent now, or why not.
  void when_read(std::function<void(const Status&)> done);
  // What went wrong with the file, for a person; empty: nothing.
  std::string problem() const;
  // What is persistent is on the disk, or on its way there.
  bool usable() const { return !unavailable_ && save_problem_.empty(); }

 private:
  struct Reading;

  void read();
  void take(Reading& reading);
  void save();
  void tell(const Status& outcome);
  Status available() const;
  bool is_reading() const { return !path().empty() && started_ && !stopped_ && !loaded_ && !unavailable_; }
  void tell_readers();

  Io& io_;
  Forwards& forwards_;
  const std::shared_ptr<const StateFile> file_;  // shared with the pool
  std::shared_ptr<Fd> lock_;                     // null until the file is ours
  bool started_ = false;
  bool loaded_ = false;
  bool stopped_ = false;
  std::string problem_;       // of reading: it is said as long as the agent runs
  std::string save_problem_;  // until a write succeeds
  std::optional<Error> unavailable_;
  Duration retry_gap_ = kRetryGap;
  std::string saved_;  // the list as last written, encoded without its generation
  std::uint64_t generation_ = 0;
  std::unique_ptr<Operation> work_;                          // a load or a save under way
  bool dirty_ = false;                                       // changed since that save began
  std::vector<std::function<void(const Status&)>> askers_;   // that wait for a save
  std::vector<std::function<void(const Status&)>> readers_;  // and for the file to be read
  std::unique_ptr<Deferred> save_soon_;
  std::unique_ptr<Timer> retry_timer_;
};

}  // namespace jump
