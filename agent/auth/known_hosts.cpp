#include "auth/known_hosts.h"

#include <algorithm>

#include "auth/base64.h"
#include "auth/host_pattern.h"
#include "auth/small_file.h"

namespace jump {
namespace {

// Fleets with a line per machine reach some megabytes; past this it is not a known_hosts file.
constexpr std::size_t kMaxFileBytes = 32 * 1024 * 1024;
constexpr std::size_t kMaxMarker = 31;  // ssh's buffer
constexpr std::uint16_t kDefaultPort = 22;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

void skip_blanks(std::string_view* text) {
  while (!text->empty() && is_blank(text->front())) text->remove_prefix(1);
}

}  // namespace

KnownHosts KnownHosts::load(const std::vector<std::string>& files) {
  KnownHosts known;
  if (!files.empty()) known.first_file_ = files.front();
  for (const std::string& file : files) {
    Result<SmallFile> read = read_small_file(file, kMaxFileBytes);
    if (read.ok()) {
      known.add_text(file, std::string(read->content.text()));
    } else if (read.error().code != Errc::kNotFound) {
      known.notes_.push_back(file + ": " + read.error().message);
    }
  }
  return known;
}

void KnownHosts::add_text(const std::string& file, std::string text) {
  if (first_file_.empty()) first_file_ = file;
  files_.push_back(file);
  // Held by vector elements: moving the vector moves short strings, and the views with them would dangle.
  text.reserve(sizeof(std::string));
  texts_.push_back(std::move(text));
  std::string_view rest = texts_.back();
  for (std::size_t number = 1; !rest.empty(); ++number) {
    std::size_t end = rest.find('\n');
    Line line;
    line.text = texts_.size() - 1;
    line.number = number;
    if (parse_line(rest.substr(0, end), &line)) lines_.push_back(line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
}

bool KnownHosts::parse_line(std::string_view raw, Line* out) {
  raw = raw.substr(0, raw.find('\0'));  // where a C string ends
  skip_blanks(&raw);
  if (raw.empty() || raw.front() == '#') return false;
  if (raw.front() == '@') {
    // ssh looks for a space before it looks for a tab.
    std::size_t end = raw.find(' ');
    if (end == std::string_view::npos) end = raw.find('\t');
    if (end == std::string_view::npos || end > kMaxMarker) return false;
    std::string_view marker = raw.substr(0, end);
    if (marker == "@revoked") {
      out->marker = Marker::kRevoked;
    } else if (marker == "@cert-authority") {
      out->marker = Marker::kAuthority;
    } else {
      return false;
    }
    raw.remove_prefix(end);
    skip_blanks(&raw);
    if (raw.starts_with('@')) return false;  // one marker a line
  }
  std::size_t end = raw.find_first_of(" \t");
  if (end == std::string_view::npos) return false;
  out->hosts = raw.substr(0, end);
  out->key = raw.substr(end);
  return true;
}

std::vector<KnownHosts::Entry> KnownHosts::entries_for(std::string_view name) const {
  std::vector<Entry> entries;
  for (const Line& line : lines_) {
    if (match_host_column(name, line.hosts) != HostMatch::kYes) continue;
    Result<PublicKey> key = parse_public_key_line(line.key);
    if (key.ok()) entries.push_back({&line, std::move(key).value()});
  }
  return entries;
}

std::vector<KnownHostsEntry> KnownHosts::all_entries(std::string_view name) const {
  std::vector<KnownHostsEntry> entries;
  for (const Line& line : lines_) {
    HostMatch match = match_host_column(name, line.hosts);
    Result<PublicKey> key = parse_public_key_line(line.key);
    if (match == HostMatch::kBroken || !key) continue;
    bool marked = line.marker != Marker::kNone;
    entries.push_back({match == HostMatch::kYes, marked, line.number, line.hosts, std::move(key).value()});
  }
  return entries;
}

KnownHostsLine KnownHosts::describe(const Entry& entry) const {
  return {files_[entry.line->text], entry.line->number, entry.key.type, entry.key.fingerprint()};
}

HostKeyVerdict KnownHosts::judge(const std::vector<Entry>& entries, const HostKey& key) const {
  using Kind = HostKeyVerdict::Kind;
  Result<PublicKey> offered = parse_public_key_blob(key.blob);
  const Bytes& blob = offered.ok() ? offered->blob : key.blob;
  std::string_view type = offered.ok() ? std::string_view(offered->type) : std::string_view(key.algorithm);

  const Entry* other = nullptr;  // a key for this host, but not this one
  const Entry* match = nullptr;
  const Entry* authority = nullptr;
  HostKeyVerdict verdict;
  for (const Entry& entry : entries) {
    if (entry.line->marker == Marker::kRevoked && entry.key.blob == blob) {
      verdict.kind = Kind::kRevoked;
      verdict.line = describe(entry);
      return verdict;
    }
    if (entry.line->marker == Marker::kAuthority && authority == nullptr) authority = &entry;
    if (entry.line->marker != Marker::kNone) continue;
    if (match == nullptr && entry.key.blob == blob) match = &entry;
    // ssh names the last line; one of the offered type tells more.
    if (other == nullptr || entry.key.type == type || other->key.type != type) other = &entry;
  }
  if (match != nullptr) {
    verdict.kind = Kind::kKnown;
    verdict.line = describe(*match);
    return verdict;
  }
  if (other != nullptr) return changed(entries, *other);
  if (authority != nullptr) verdict.authority = describe(*authority);
  return verdict;
}

HostKeyVerdict KnownHosts::changed(const std::vector<Entry>& entries, const Entry& named) const {
  HostKeyVerdict verdict;
  verdict.kind = HostKeyVerdict::Kind::kChanged;
  verdict.line = describe(named);
  for (const Entry& entry : entries) {
    const std::string& file = files_[entry.line->text];
    if (entry.line->marker != Marker::kNone) continue;
    if (std::find(verdict.files.begin(), verdict.files.end(), file) == verdict.files.end())
      verdict.files.push_back(file);
  }
  return verdict;
}

HostKeyVerdict KnownHosts::check(std::string_view name, std::uint16_t port, const HostKey& key) const {
  using Kind = HostKeyVerdict::Kind;
  HostKeyVerdict verdict = judge(entries_for(known_hosts_name(name, port)), key);
  if (verdict.kind != Kind::kUnknown || port == kDefaultPort) return verdict;
  HostKeyVerdict plain = judge(entries_for(known_hosts_name(name, kDefaultPort)), key);
  plain.without_port = true;
  return plain.kind == Kind::kKnown || plain.kind == Kind::kRevoked ? plain : verdict;
}

std::vector<std::string> KnownHosts::other_names(std::string_view name, std::uint16_t port,
                                                 const HostKey& key) const {
  const std::string own = known_hosts_name(name, port);
  const std::string encoded = base64_encode(key.blob);
  std::vector<std::string> names;
  for (const Line& line : lines_) {
    // The text first: parsing every key of a large file would take the loop's time.
    if (line.marker != Marker::kNone || line.key.find(encoded) == std::string_view::npos) continue;
    if (match_host_column(own, line.hosts) != HostMatch::kNo) continue;
    Result<PublicKey> parsed = parse_public_key_line(line.key);
    if (!parsed || parsed->blob != key.blob) continue;
    std::string hosts = line.hosts.starts_with("|1|") ? "[hashed name]" : std::string(line.hosts);
    names.push_back(files_[line.text] + ":" + std::to_string(line.number) + ": " + hosts);
  }
  return names;
}

std::vector<std::string> KnownHosts::known_types(std::string_view name, std::uint16_t port) const {
  std::vector<Entry> entries = entries_for(known_hosts_name(name, port));
  auto is_revoked = [&](const Entry& entry) {
    return std::any_of(entries.begin(), entries.end(), [&](const Entry& each) {
      return each.line->marker == Marker::kRevoked && each.key.blob == entry.key.blob;
    });
  };
  std::vector<std::string> types;
  for (const Entry& entry : entries) {
    if (entry.line->marker != Marker::kNone || is_revoked(entry)) continue;
    if (std::find(types.begin(), types.end(), entry.key.type) == types.end()) types.push_back(entry.key.type);
  }
  return types;
}

std::string prefer_known_types(std::string_view algorithms, const std::vector<std::string>& known_types) {
  std::vector<std::string_view> first, last;
  for (std::string_view rest = algorithms; !rest.empty();) {
    std::size_t comma = rest.find(',');
    std::string_view algorithm = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    std::string_view type = key_type_of_algorithm(without_certificate(algorithm));
    bool known = std::find(known_types.begin(), known_types.end(), type) != known_types.end();
    if (known && last.empty() && first.empty()) return std::string(algorithms);
    (known ? first : last).push_back(algorithm);
  }
  std::string ordered;
  first.insert(first.end(), last.begin(), last.end());
  for (std::string_view algorithm : first) {
    if (!ordered.empty()) ordered += ',';
    ordered += algorithm;
  }
  return ordered;
}

}  // namespace jump
