#include "auth/host_key_record.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "auth/base64.h"
#include "auth/known_hosts.h"
#include "auth/small_file.h"
#include "base/fd.h"

namespace jump {
namespace {

// Somebody else replaces the file again and again while we append to it: not for ever.
constexpr int kMaxAttempts = 5;

Error system_error(const std::string& file, int number) {
  Errc code = Errc::kInvalid;
  if (number == ENOENT || number == ENOTDIR) code = Errc::kNotFound;
  if (number == EACCES || number == EPERM || number == EROFS) code = Errc::kRefused;
  return {code, file + ": " + std::strerror(number), ""};
}

void make_ssh_directory(const std::string& file, const std::string& home) {
  std::string directory = home + "/.ssh";
  if (home.empty() || file.substr(0, file.rfind('/')) != directory) return;
  mkdir(directory.c_str(), 0700);  // there already, or open() says why not
}

bool lacks_newline(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return false;
  char last = '\n';
  return pread(fd, &last, 1, info.st_size - 1) == 1 && last != '\n';
}

// Still what the path leads to: a file that was replaced meanwhile (ssh-keygen -R) has lost our lines.
bool is_current(int fd, const std::string& file) {
  struct stat ours {
  }, now{};
  if (fstat(fd, &ours) != 0 || stat(file.c_str(), &now) != 0) return false;
  return ours.st_dev == now.st_dev && ours.st_ino == now.st_ino;
}

// True: written, and there.
Result<bool> append_once(const std::string& file, std::string_view lines) {
  Fd out(open(file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  if (out.get() < 0) return system_error(file, errno);
  std::string text = (lacks_newline(out.get()) ? "\n" : "") + std::string(lines);
  ssize_t written = 0;
  do {
    written = write(out.get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return system_error(file, errno);
  if (static_cast<std::size_t>(written) != text.size()) return system_error(file, ENOSPC);
  return is_current(out.get(), file);
}

bool is_same_version(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

Status write_all(int fd, const std::string& file, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(file, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Puts `text` in the place of the file, unless that is no longer the version `before`. False: it is not.
Result<bool> replace_version(const std::string& file, const struct stat& before, std::string_view text) {
  std::string temporary = file + ".XXXXXX";
  Fd out(mkostemp(temporary.data(), O_CLOEXEC));
  if (out.get() < 0) return system_error(file, errno);
  Status written = write_all(out.get(), temporary, text);
  if (written && fchmod(out.get(), before.st_mode & 0777) != 0) written = system_error(temporary, errno);
  if (written && fsync(out.get()) != 0) written = system_error(temporary, errno);
  struct stat now {};
  bool current = written && stat(file.c_str(), &now) == 0 && is_same_version(now, before);
  std::string old = file + ".old";
  if (current) {
    unlink(old.c_str());
    if (link(file.c_str(), old.c_str()) != 0) written = system_error(old, errno);
  }
  if (current && written && rename(temporary.c_str(), file.c_str()) != 0) written = system_error(file, errno);
  if (!current || !written) unlink(temporary.c_str());
  if (!written) return written.error();
  return current;
}

// The file itself, behind links: replacing a link would part it from the file that it was made for.
std::string resolved(const std::string& file) {
  char* path = realpath(file.c_str(), nullptr);
  std::string out = path != nullptr ? path : file;
  std::free(path);
  return out;
}

}  // namespace

std::string hashed_known_hosts_name(std::string_view name, ByteView salt) {
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha1(), salt.data(), static_cast<int>(salt.size()), as_bytes(name).data(), name.size(), digest,
       &size);
  return "|1|" + base64_encode(salt) + "|" + base64_encode(ByteView(digest, size));
}

std::string known_hosts_entry(std::string_view name, const HostKey& key, bool hashed) {
  std::string hosts(name);
  std::uint8_t salt[SHA_DIGEST_LENGTH];
  // Without randomness the name stays readable; the line is good all the same.
  if (hashed && RAND_bytes(salt, sizeof(salt)) == 1) hosts = hashed_known_hosts_name(name, salt);
  return hosts + " " + key.algorithm + " " + base64_encode(key.blob) + "\n";
}

bool is_recordable_name(std::string_view name) {
  if (name.empty() || name.front() == '#' || name.front() == '@' || name.front() == '|') return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c <= ' ' || c == 0x7f || c == ',' || c == '*' || c == '?' || c == '!';
  });
}

Status append_known_hosts_entry(const std::string& file, std::string_view lines, const std::string& home) {
  make_ssh_directory(file, home);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    Result<bool> there = append_once(file, lines);
    if (!there) return there.error();
    if (*there) return {};
  }
  return Error{Errc::kInUse, file + ": it is being replaced all the time", ""};
}

std::string known_hosts_write_problem(const std::string& file, const std::string& home) {
  struct stat info {};
  if (stat(file.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return std::strerror(EISDIR);
    return access(file.c_str(), R_OK | W_OK) == 0 ? "" : std::strerror(errno);
  }
  if (errno != ENOENT) return std::strerror(errno);
  const std::size_t slash = file.rfind('/');
  if (slash == std::string::npos) return "";
  std::string directory = slash == 0 ? "/" : file.substr(0, slash);
  if (!home.empty() && directory == home + "/.ssh" && access(directory.c_str(), F_OK) != 0) directory = home;
  return access(directory.c_str(), W_OK | X_OK) == 0 ? "" : std::strerror(errno);
}

std::string with_host_keys(const std::string& text, std::string_view name, const std::vector<HostKey>& keys,
                           bool hashed) {
  KnownHosts known;
  known.add_text("", text);
  std::set<std::size_t> gone;
  std::set<Bytes> there;
  for (const KnownHostsEntry& entry : known.all_entries(name)) {
    if (!entry.matches || entry.marked) continue;
    bool wanted =
        std::any_of(keys.begin(), keys.end(), [&](const HostKey& key) { return key.blob == entry.key.blob; });
    wanted ? (void)there.insert(entry.key.blob) : (void)gone.insert(entry.line);
  }
  std::string out;
  std::string_view rest = text;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    if (!gone.contains(number)) out += rest.substr(0, end);
    rest.remove_prefix(end);
  }
  for (const HostKey& key : keys) {
    if (there.contains(key.blob)) continue;
    if (!out.empty() && out.back() != '\n') out += '\n';
    out += known_hosts_entry(name, key, hashed);
  }
  return out;
}

Status replace_host_keys(const std::string& file, std::string_view name, const std::vector<HostKey>& keys,
                         bool hashed) {
  const std::string path = resolved(file);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    struct stat before {};
    if (stat(path.c_str(), &before) != 0) return errno == ENOENT ? Status{} : system_error(file, errno);
    if (!S_ISREG(before.st_mode)) return {};
    Result<SmallFile> read = read_small_file(path, static_cast<std::size_t>(before.st_size));
    if (!read && read.error().code == Errc::kLimit) continue;  // it has just grown
    if (!read) return read.error().context(file);
    std::string text(read->content.text());
    std::string edited = with_host_keys(text, name, keys, hashed);
    if (edited == text) return {};
    Result<bool> replaced = replace_version(path, before, edited);
    if (!replaced) return replaced.error();
    if (*replaced) return {};
  }
  return Error{Errc::kInUse, file + ": others keep writing to it", ""};
}

std::string home_directory() {
  std::vector<char> buffer(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr && found->pw_dir != nullptr) return found->pw_dir;
  const char* home = std::getenv("HOME");
  return home != nullptr ? home : "";
}

}  // namespace jump
