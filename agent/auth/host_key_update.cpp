#include "auth/host_key_update.h"

#include <algorithm>

#include "auth/host_key_signature.h"
#include "base/wire.h"

namespace jump {
namespace {

// Wildcards, or more than "host,address": not written by ssh, so not ours to change.
bool is_complex(std::string_view hosts) {
  return hosts.find_first_of("*?") != std::string_view::npos ||
         std::count(hosts.begin(), hosts.end(), ',') > 1;
}

bool is_accepted(std::string_view type, std::string_view algorithms) {
  while (!algorithms.empty()) {
    std::size_t comma = algorithms.find(',');
    if (key_type_of_algorithm(algorithms.substr(0, comma)) == type) return true;
    algorithms.remove_prefix(comma == std::string_view::npos ? algorithms.size() : comma + 1);
  }
  return false;
}

}  // namespace

Result<HostKeyUpdate> HostKeyUpdate::plan(ByteView list, std::string_view algorithms, std::string_view name,
                                          const KnownHosts& known) {
  HostKeyUpdate update;
  if (Status read = update.read_list(list, algorithms); !read) return read.error();
  if (!update.offered_.empty()) update.compare(known.all_entries(name));
  return update;
}

Status HostKeyUpdate::read_list(ByteView list, std::string_view algorithms) {
  std::size_t count = 0;
  for (WireReader in(list); in.left() > 0;) {
    ByteView blob = in.string();
    if (!in.ok()) return Error{Errc::kProtocol, "a broken list of host keys", ""};
    if (++count > kMaxKeys) return Error{Errc::kProtocol, "a list of too many host keys", ""};
    Result<PublicKey> key = parse_public_key_blob(blob);
    if (!key || without_certificate(key->type) != key->type || !is_accepted(key->type, algorithms)) continue;
    if (find(*key)) return Error{Errc::kProtocol, "a list with the same host key twice", ""};
    offered_.push_back({std::move(key).value(), false, false});
  }
  return {};
}

void HostKeyUpdate::compare(const std::vector<KnownHostsEntry>& entries) {
  for (const KnownHostsEntry& entry : entries) {
    Offered* offered = find(entry.key);
    if (!entry.matches) {
      if (offered) reason_ = "a key of it stands under another name too";
    } else if (entry.marked || is_complex(entry.hosts)) {
      reason_ = "its lines have patterns, many names or markers";
    } else if (offered) {
      offered->known = true;
    } else {
      old_.push_back(entry.key);
    }
  }
  for (const KnownHostsEntry& entry : entries) {
    if (!entry.matches && std::any_of(old_.begin(), old_.end(),
                                      [&](const PublicKey& key) { return key.blob == entry.key.blob; }))
      reason_ = "an old key of it stands under another name too";
  }
  bool fresh = std::any_of(offered_.begin(), offered_.end(), [](const Offered& each) { return !each.known; });
  if (!fresh && old_.empty()) reason_.clear();
  if ((!fresh && old_.empty()) || !reason_.empty()) return;
  next_ = fresh ? Next::kProve : Next::kApply;
}

HostKeyUpdate::Offered* HostKeyUpdate::find(const PublicKey& key) {
  auto found = std::find_if(offered_.begin(), offered_.end(),
                            [&](const Offered& each) { return each.key.blob == key.blob; });
  return found == offered_.end() ? nullptr : &*found;
}

Bytes HostKeyUpdate::proof_request() const {
  WireWriter out;
  for (const Offered& each : offered_)
    if (!each.known) out.string(each.key.blob);
  return out.take();
}

Status HostKeyUpdate::verify_proofs(ByteView reply, ByteView session_id) {
  WireReader in(reply);
  for (Offered& each : offered_) {
    if (each.known) continue;
    ByteView signature = in.string();
    if (!in.ok()) return Error{Errc::kProtocol, "fewer proofs than host keys", ""};
    WireWriter data;
    data.string(kProveRequest).string(session_id).string(each.key.blob);
    Status verified = verify_host_key_signature(each.key, signature, data.view());
    if (!verified && verified.error().code == Errc::kUnsupported && each.key.type == "ssh-rsa") continue;
    if (!verified) return verified.error().context("the proof of host key " + each.key.fingerprint());
    each.proved = true;
  }
  if (!in.at_end()) return Error{Errc::kProtocol, "more proofs than host keys", ""};
  next_ = Next::kApply;
  return {};
}

std::vector<HostKey> HostKeyUpdate::keys() const {
  std::vector<HostKey> keys;
  for (const Offered& each : offered_)
    if (each.known || each.proved) keys.push_back({each.key.type, each.key.blob});
  return keys;
}

std::vector<PublicKey> HostKeyUpdate::learned() const {
  std::vector<PublicKey> keys;
  for (const Offered& each : offered_)
    if (each.proved) keys.push_back(each.key);
  return keys;
}

}  // namespace jump
