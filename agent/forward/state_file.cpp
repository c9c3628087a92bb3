#include "forward/state_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "proto/codec.h"

namespace jump {
namespace {

constexpr std::string_view kMagic = "jumpagent-state 1 ";

std::string checksum(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string hex;
  for (unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

Error system_error(const std::string& what) {
  const int number = errno;
  const bool denied = number == EACCES || number == EPERM || number == EROFS;
  return {denied ? Errc::kRefused : Errc::kInternal, what + ": " + std::strerror(number), {}};
}

proto::SavedForward to_message(const ForwardRequest& request) {
  proto::SavedForward saved;
  saved.kind = proto::forward_kind_name(request.kind);
  saved.spec = request.spec;
  if (!request.listen.is_unix()) saved.port = request.listen.port;  // the one that was chosen for port 0
  saved.via = request.via;
  saved.via_rule = request.via_rule;
  saved.name = request.name;
  saved.prewarm = request.prewarm;
  return saved;
}

Result<ForwardRequest> to_request(const proto::SavedForward& saved) {
  auto kind = proto::forward_kind_of(saved.kind);
  if (!kind) return Error{Errc::kInvalid, "unknown kind of forward '" + saved.kind + "'", {}};
  Result<ForwardRequest> request = ForwardRequest::parse(*kind, saved.spec);
  if (!request) return request;
  if (saved.port && *saved.port <= UINT16_MAX) request->listen.port = static_cast<std::uint16_t>(*saved.port);
  request->via = saved.via;
  request->via_rule = saved.via_rule;
  request->name = saved.name;
  request->prewarm = saved.prewarm;
  return request;
}

// Null: there is no such file. Errors: kInvalid (a directory), kLimit; of the file system.
Result<std::optional<std::string>> read_whole(const std::string& path, std::size_t limit) {
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    if (errno == ENOENT) return std::optional<std::string>();
    return system_error(path);
  }
  struct stat what {};
  if (fstat(file.get(), &what) == 0 && S_ISDIR(what.st_mode))
    return Error{Errc::kInvalid, "it is a directory", {}};
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(path);
    if (count == 0) return std::optional(std::move(text));
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > limit) return Error{Errc::kLimit, "it is larger than any state file of ours", {}};
  }
}

Status write_aside(const std::string& path, const std::string& text) {
  Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return system_error(path);
  for (std::string_view left = text; !left.empty();) {
    const ssize_t count = ::write(file.get(), left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(path);
    left.remove_prefix(static_cast<std::size_t>(count));
  }
  if (fsync(file.get()) != 0) return system_error(path);
  return {};
}

bool is_directory(const std::string& path) {
  struct stat what {};
  return stat(path.c_str(), &what) == 0 && S_ISDIR(what.st_mode);
}

// A damaged file, for whom it may be of use. One that is too large is moved: a copy may fill the disk. A
// directory is somebody else's, and stays.
void keep_aside(const std::string& path, const Error& why) {
  const std::string aside = path + ".damaged";
  std::error_code ignored;
  if (why.code == Errc::kLimit) {
    std::filesystem::rename(path, aside, ignored);
  } else if (!is_directory(path)) {
    std::filesystem::copy_file(path, aside, std::filesystem::copy_options::overwrite_existing, ignored);
  }
}

}  // namespace

std::string encode_saved(const SavedForwards& saved) {
  proto::SavedState state;
  state.generation = saved.generation;
  for (const ForwardRequest& request : saved.forwards) state.forwards.push_back(to_message(request));
  const std::string body = proto::encode(state).dump() + "\n";
  return std::string(kMagic) + checksum(body) + "\n" + body;
}

Result<SavedForwards> decode_saved(std::string_view text) {
  const std::size_t head = kMagic.size() + 2 * SHA256_DIGEST_LENGTH + 1;
  if (text.empty()) return Error{Errc::kInvalid, "it is empty", {}};
  if (!text.starts_with(kMagic.substr(0, text.size())))
    return Error{Errc::kInvalid, "it is no state file", {}};
  if (text.size() <= head) return Error{Errc::kInvalid, "it is cut short", {}};
  const std::string_view body = text.substr(head);
  if (text.substr(kMagic.size(), head - kMagic.size()) != checksum(body) + "\n")
    return Error{Errc::kInvalid, "it is cut short or changed", {}};
  Result<proto::Json> json = proto::Json::parse(body);
  if (!json) return json.error();
  Result<proto::SavedState> state = proto::decode<proto::SavedState>(*json, "state");
  if (!state) return state.error();
  SavedForwards saved;
  saved.generation = state->generation;
  for (const proto::SavedForward& each : state->forwards) {
    Result<ForwardRequest> request = to_request(each);
    if (!request) return request.error();
    saved.forwards.push_back(*std::move(request));
  }
  return saved;
}

Result<Fd> StateFile::lock() const {
  std::error_code failed;
  const std::filesystem::path directory = std::filesystem::path(path_).parent_path();
  if (!std::filesystem::exists(directory, failed)) {
    std::filesystem::create_directories(directory, failed);
    if (!failed) chmod(directory.c_str(), 0700);
  }
  const std::string name = path_ + ".lock";
  Fd lock(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600));
  if (!lock) return system_error(name);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return system_error(name);
  return Error{Errc::kInUse, "another jumpagent keeps its persistent forwards in " + path_,
               "give this one a file of its own: jumpagent --state FILE"};
}

Result<StateFile::Loaded> StateFile::load() const {
  Loaded loaded;
  std::optional<SavedForwards> best;
  std::string damaged;
  for (const std::string& path : {path_, copy_path()}) {
    auto text = read_whole(path, kMaxSize);
    if (!text && text.error().code != Errc::kInvalid && text.error().code != Errc::kLimit)
      return text.error();
    if (text && !*text) continue;
    Result<SavedForwards> saved = text ? decode_saved(**text) : Result<SavedForwards>(text.error());
    if (!saved) {
      damaged += fmt::format("{}{}: {}", damaged.empty() ? "" : "; ", path, saved.error().message);
      keep_aside(path, saved.error());
    } else if (!best || saved->generation > best->generation) {
      best = *std::move(saved);
    }
  }
  if (!best && is_directory(path_)) {
    return Error{Errc::kRefused, path_ + " is a directory, not a state file",
                 "move it away, or name a file: jumpagent --state FILE"};
  }
  if (!damaged.empty()) {
    loaded.problem = fmt::format(
        "{}; {}", damaged,
        best ? fmt::format("used instead: the last good list, of {} forward{}", best->forwards.size(),
                           best->forwards.size() == 1 ? "" : "s")
             : "there is no good copy: no persistent forward is known");
  }
  if (best) loaded.saved = *std::move(best);
  return loaded;
}

Status StateFile::save(const SavedForwards& saved) const {
  const std::string text = encode_saved(saved);
  // A directory in the place of one leaves the other.
  const bool only_copy = is_directory(path_);
  const bool only_first = !only_copy && is_directory(copy_path());
  if (!only_copy) {
    if (Status written = write(path_, text); !written) return written;
  }
  return only_first ? Status() : write(copy_path(), text);
}

Status StateFile::write(const std::string& path, const std::string& text) const {
  const std::string aside = path + ".new";
  const Status written = write_aside(aside, text);
  if (!written) {
    unlink(aside.c_str());  // on a full disk its bytes are wanted
    return written;
  }
  if (rename(aside.c_str(), path.c_str()) != 0) return system_error(path);
  // The name, too, is to survive a power cut.
  Fd directory(open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) fsync(directory.get());
  return {};
}

}  // namespace jump
