// StateFile: the persistent forwards on disk, twice: FILE and FILE.copy, each whole by itself. The first line
// of each has a checksum of the rest, so that one that was cut or changed is told from a good one; of two
// good ones the newer counts. Blocks: for pool threads and tests.
//
//   jumpagent-state 1 SHA-256-OF-THE-REST
//   {"generation": 7, "forwards": [{"kind": "local", "spec": "8080:svc:80", …}]}
//
// Invariant: at any moment, a crash included, at least one of the two is whole and holds the last list or the
// one before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "forward/forward_request.h"

namespace jump {

struct SavedForwards {
  std::uint64_t generation = 0;  // grows with each save
  std::vector<ForwardRequest> forwards;
};

// The text of one file, and back. Errors of reading: kInvalid, with what is wrong ("cut short").
std::string encode_saved(const SavedForwards& saved);
Result<SavedForwards> decode_saved(std::string_view text);

class StateFile {
 public:
  // Far more than 4,096 forwards take.
  static constexpr std::size_t kMaxSize = 16 << 20;

  explicit StateFile(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  // Makes it this process's, as long as the result lives; its directory is made (0700) if need be. Errors:
  // kInUse (another agent has it), kRefused and others of the file system.
  Result<Fd> lock() const;

  struct Loaded {
    SavedForwards saved;
    std::string problem;  // for a person: what was damaged, and what is used instead; empty: all is well
  };
  // No file: nothing saved. A damaged one is kept aside, with ".damaged" behind its name; a directory counts
  // as damaged, and stays. Errors: kRefused and others, when a file is there and cannot be read, or a
  // directory is in its place and there is no good copy.
  Result<Loaded> load() const;
  // Both, one after the other, each written aside and renamed into place; but none where a directory is, as
  // long as the other can be. Errors: of the file system.
  Status save(const SavedForwards& saved) const;

 private:
  Status write(const std::string& path, const std::string& text) const;
  std::string copy_path() const { return path_ + ".copy"; }

  const std::string path_;
};

}  // namespace jump
