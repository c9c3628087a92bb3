// HostKeyUpdate: a server that tells all its host keys (hostkeys-00@openssh.com, OpenSSH's PROTOCOL section
// 2.5), and what becomes of it in the user's known_hosts. Sans-IO; the rules are those of ssh (clientloop.c).
//
//   the server's list + known_hosts ─► plan() ─► nothing
//                                            ├─► proof_request() ─► the server ─► verify_proofs() ─┐
//                                            └─► (only old keys to forget) ────────────────────────┴► keys()
//
// Only for a host whose key was known from the user's own files or accepted by a person, and not where
// UpdateHostKeys says no: the caller's to know. Nothing is changed where lines for the host are patterns,
// lists of more than two names or marked, or where a key stands under another name too. Invariant: a key that
// is not in the files yet is in keys() only after the server has proved that it owns it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "auth/known_hosts.h"
#include "base/bytes.h"
#include "base/result.h"
#include "transport/transport.h"

namespace jump {

class HostKeyUpdate {
 public:
  static constexpr std::string_view kListRequest = "hostkeys-00@openssh.com";
  static constexpr std::string_view kProveRequest = "hostkeys-prove-00@openssh.com";
  // More keys than any server has; each may cost a signature's verification.
  static constexpr std::size_t kMaxKeys = 64;

  enum class Next { kNothing, kProve, kApply };

  // `list`: the request's data. `algorithms`: the user's HostKeyAlgorithms, or ours; keys of other types are
  // not learned. `known`: the user's own files, and no others. Errors: kProtocol. Parses all keys of `known`.
  static Result<HostKeyUpdate> plan(ByteView list, std::string_view algorithms,
                                    std::string_view known_hosts_name, const KnownHosts& known);

  Next next() const { return next_; }
  // Why nothing is done, for the log; empty where there is nothing to do.
  const std::string& reason() const { return reason_; }

  // kProve: the data of the request, and what its reply must prove. `session_id` is of the first key
  // exchange. Errors: kProtocol, kInvalid: then nothing may be changed. A proof of an RSA key with SHA-1
  // drops that key.
  Bytes proof_request() const;
  Status verify_proofs(ByteView reply, ByteView session_id);

  // kApply: what the files shall have for the host: these, and no others. New ones, and old ones that go, for
  // those who want to tell.
  std::vector<HostKey> keys() const;
  std::vector<PublicKey> learned() const;
  const std::vector<PublicKey>& forgotten() const { return old_; }

 private:
  struct Offered {
    PublicKey key;
    bool known = false;
    bool proved = false;
  };

  Status read_list(ByteView list, std::string_view algorithms);
  void compare(const std::vector<KnownHostsEntry>& entries);
  Offered* find(const PublicKey& key);

  std::vector<Offered> offered_;
  std::vector<PublicKey> old_;
  Next next_ = Next::kNothing;
  std::string reason_;
};

}  // namespace jump
