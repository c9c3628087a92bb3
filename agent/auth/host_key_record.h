// Writing known_hosts files: a line for a key that was accepted, or a new set of keys for one host. Several
// agents and ssh itself may do the same at the same time, and nothing of theirs or ours is lost.
//
//   name, key ─► known_hosts_entry() ─► append_known_hosts_entry() ─► the file
//
// Invariants: a file is appended to with one write(2) of whole lines in append mode, or replaced as a whole
// by rename(2); lines of other hosts stay as they are, to the byte. Everything that names a file blocks: for
// pool threads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "transport/transport.h"

namespace jump {

// The first column with HashKnownHosts: "|1|SALT|HASH", HMAC-SHA1 of the name; `salt` has 20 bytes.
std::string hashed_known_hosts_name(std::string_view name, ByteView salt);

// "NAME TYPE BASE64\n" as ssh writes it. `name` as known_hosts_name() makes it. Hashed: with a fresh salt.
std::string known_hosts_entry(std::string_view name, const HostKey& key, bool hashed);

// Whether a line can be written for this name at all: blanks, commas, and the like would make it mean
// something else.
bool is_recordable_name(std::string_view name);

// Appends whole lines, with a newline in front if the file does not end in one. Makes the file (0600), and
// its directory (0700) if that is `home`/.ssh, when missing. Errors: kRefused, kNotFound, kInvalid; they
// name the file.
Status append_known_hosts_entry(const std::string& file, std::string_view lines, const std::string& home);

// Why `file` could not take a line as of now: "Permission denied"; empty: it could, as far as can be told
// without writing. What keeps nothing (/dev/null) could.
std::string known_hosts_write_problem(const std::string& file, const std::string& home);

// `text` with exactly `keys` for the host: its other keys' lines go, missing keys come at the end. Lines with
// markers and lines that cannot be read stay. Blobs are canonical.
std::string with_host_keys(const std::string& text, std::string_view name, const std::vector<HostKey>& keys,
                           bool hashed);

// The same for a file, as UpdateHostKeys does it; the old one stays as FILE.old. What is missing, or no
// regular file, is left alone. Errors: as above, kInUse (others keep writing to it).
Status replace_host_keys(const std::string& file, std::string_view name, const std::vector<HostKey>& keys,
                         bool hashed);

// The home directory as ssh sees it; empty when there is none.
std::string home_directory();

}  // namespace jump
