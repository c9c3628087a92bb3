// KnownHosts: judges a server's host key by the user's known_hosts files, exactly as OpenSSH's client does
// with the same files. Read-only: adding and removing lines is for host_key_record.h.
//
// What ssh does and this follows (each case runs against stock ssh in
// tests/integration/known_hosts_test.cpp):
//   * all files' lines for the name count together, in order; broken lines and unknown markers are skipped
//   * a matching key on any line: known. No key on any line: unknown. Keys, but not this one: *changed*, even
//   when
//     they are all of other types
//   * a matching @revoked line beats everything; @cert-authority lines say nothing about a plain key
//   * a port other than 22 is looked up as [host]:port only; if that has no key at all, a matching key under
//   the plain
//     name is accepted (a non-matching one is not a change)
// Invariant: entries view into texts_, which never changes after load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/public_key.h"
#include "base/result.h"
#include "transport/transport.h"

namespace jump {

// A line of a known_hosts file that holds a key.
struct KnownHostsLine {
  std::string file;
  std::size_t line = 0;  // from 1
  std::string key_type;
  std::string fingerprint;
};

struct HostKeyVerdict {
  enum class Kind { kKnown, kUnknown, kChanged, kRevoked };
  Kind kind = Kind::kUnknown;
  // The line that decided; none when unknown. Changed: a line with a key of the offered type, if there is
  // one.
  std::optional<KnownHostsLine> line;
  // Known, but only under the name without the port.
  bool without_port = false;
  // Changed: every file with a key for the host, in order, each once: all of them have to be mended.
  std::vector<std::string> files;
  // Unknown: an @cert-authority line for the host. Its certificates cannot be verified here (libssh2 has no
  // host certificates), so the server shows a plain key.
  std::optional<KnownHostsLine> authority;
};

// A line with a key, for those who edit files. Views are good as long as the KnownHosts.
struct KnownHostsEntry {
  bool matches = false;  // the name that was asked for
  bool marked = false;   // @revoked, @cert-authority
  std::size_t line = 0;  // from 1
  std::string_view hosts;
  PublicKey key;
};

class KnownHosts {
 public:
  // Files in order of precedence (UserKnownHostsFile, then GlobalKnownHostsFile), `~` expanded. Blocks: for a
  // pool thread. Missing files are fine, as for ssh; others that cannot be read are left out and named in
  // notes().
  static KnownHosts load(const std::vector<std::string>& files);

  KnownHosts() = default;
  KnownHosts(KnownHosts&&) noexcept = default;
  KnownHosts& operator=(KnownHosts&&) noexcept = default;
  KnownHosts(const KnownHosts&) = delete;
  KnownHosts& operator=(const KnownHosts&) = delete;

  // Adds a file's content behind what is there.
  void add_text(const std::string& file, std::string text);

  // `name` is HostName, or with HostKeyAlias the alias and then port 22 whatever the real port is, as ssh
  // does. Cost: one HMAC per hashed line.
  HostKeyVerdict check(std::string_view name, std::uint16_t port, const HostKey& key) const;

  // Types of the keys known for the host ("ssh-ed25519", "ssh-rsa", …), each once, revoked ones left out.
  std::vector<std::string> known_types(std::string_view name, std::uint16_t port) const;

  // Lines that hold this very key under other names, as ssh lists them: "FILE:LINE: HOSTS", or "[hashed
  // name]" in place of the hosts. Not sanitised.
  std::vector<std::string> other_names(std::string_view name, std::uint16_t port, const HostKey& key) const;

  // Every line of all files whose key can be read, in order. `known_hosts_name`: see host_pattern.h. Parses
  // every key: for a pool thread where files may be large.
  std::vector<KnownHostsEntry> all_entries(std::string_view known_hosts_name) const;

  // "FILE: permission denied": files that should have been read and could not be.
  const std::vector<std::string>& notes() const { return notes_; }
  // Where ssh would add a key: the first file named; empty if none was.
  const std::string& first_file() const { return first_file_; }

 private:
  enum class Marker { kNone, kRevoked, kAuthority };
  struct Line {
    std::size_t text = 0;  // index in texts_, files_
    std::size_t number = 0;
    Marker marker = Marker::kNone;
    std::string_view hosts;  // the host column
    std::string_view key;    // all that follows it
  };
  struct Entry {
    const Line* line;
    PublicKey key;
  };

  static bool parse_line(std::string_view raw, Line* out);
  std::vector<Entry> entries_for(std::string_view known_hosts_name) const;
  HostKeyVerdict judge(const std::vector<Entry>& entries, const HostKey& key) const;
  HostKeyVerdict changed(const std::vector<Entry>& entries, const Entry& named) const;
  KnownHostsLine describe(const Entry& entry) const;

  std::vector<std::string> files_, texts_;
  std::vector<Line> lines_;
  std::vector<std::string> notes_;
  std::string first_file_;
};

// Orders a comma-separated list of host-key algorithms so that the server will show a key that is known, as
// ssh does: unchanged if its first algorithm has a known key, or none has; else those with known keys first,
// order kept. For lists that the user did not choose: ssh uses a HostKeyAlgorithms setting as it is.
std::string prefer_known_types(std::string_view algorithms, const std::vector<std::string>& known_types);

}  // namespace jump
