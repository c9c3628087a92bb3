// Identities: the keys and certificates that a login may offer, in ssh's order (sshconnect2.c,
// pubkey_prepare; compared with `ssh -v`):
//
//   1. certificates that CertificateFile names, in its order
//   2. keys and certificates of the agent that an IdentityFile names, in the agent's order
//   3. others of the agent, unless IdentitiesOnly
//   4. for each IdentityFile that the agent does not have: the key, then the certificate in FILE-cert.pub
//   (looked for
//      unless there are CertificateFiles)
//
// A certificate is signed for by its plain key: the agent's, or else a file's. What cannot get anybody in is
// never offered, as a server counts each try: an algorithm that PubkeyAcceptedAlgorithms leaves out, a
// certificate out of its time, a key whose private half is nowhere. tried() says so.
//
// gather() asks the agent and reads the files in the background; once is_ready(), plan() makes the list.
// Invariant: no blob is a candidate twice.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/agent_client.h"
#include "auth/certificate.h"
#include "auth/key_file.h"
#include "auth/login_report.h"
#include "auth/login_spec.h"
#include "stream/io.h"

namespace jump {

// What the pool reads. Shared with pool threads, which own what they touch.
struct IdentityFiles {
  struct CertificateFile {
    std::string path;
    Result<Certificate> certificate;
    std::optional<std::size_t> beside;  // the index of the key file whose FILE-cert.pub it is
  };
  std::vector<KeyFile> keys;
  std::vector<CertificateFile> certificates;

  static IdentityFiles load(const LoginSpec& spec);
};

// One key or certificate to offer.
struct Candidate {
  Bytes blob;        // empty: not known before the file is unlocked
  std::string name;  // "~/.ssh/id_rsa", or the agent's comment: printable
  bool signs_in_agent = false;
  Bytes agent_blob;        // then: what the agent knows the signing key by
  std::size_t file = 0;    // else: the index of the key file that signs
  std::size_t source = 0;  // what tried() counts it to
  bool tried = false;
  bool accepted = false;  // it was one step of several: it will not be so again
  std::string note;       // what became of it, where there is more to say than "refused"
  std::string doubt;      // why it may be refused, known beforehand
};

class Identities {
 public:
  // `io` and `spec` outlive it. `wake` comes from the loop.
  Identities(Io& io, const LoginSpec& spec, std::function<void()> wake);
  Identities(const Identities&) = delete;
  Identities& operator=(const Identities&) = delete;

  void gather();
  bool is_ready() const { return agent_answer_ && loaded_; }
  void plan(std::time_t now);
  bool is_planned() const { return planned_; }

  // The next one to offer, marked as tried; nullptr: there is none.
  Candidate* next();
  // After a partial success: the ones that were refused may do for the next step. They come after the others.
  void rewind();

  AgentClient* agent() { return agent_.get(); }
  // Gives up what the agent is doing: it would do the next thing only after that.
  void restart_agent();
  const std::shared_ptr<IdentityFiles>& files() const { return files_; }

  // A file was unlocked: its key is `key`. False: nothing to offer (noted); else candidate.blob is set.
  bool learn_key(Candidate& candidate, const PublicKey& key);
  void note(Candidate& candidate, std::string reason);  // the first reason for a file counts

  std::vector<std::string> tried() const;    // "agent (2 keys)", "~/.ssh/id_rsa (no such file)"
  std::vector<std::string> offered() const;  // the agent's, each by its name; files are in tried()
  std::size_t left() const;                  // candidates not offered yet
  std::size_t tried_count() const { return candidates_.size() - left(); }
  // "c-cert.pub: expired …": our first certificate that cannot, or may not, be good here; empty: there is
  // none.
  const std::string& weak_certificate() const { return weak_certificate_; }
  // Those that were to be offered, in their order. `end` is what became of `last` (null: none), the others
  // were refused unless they say otherwise.
  std::vector<LoginTry> report(const Candidate* last, LoginTry::Outcome end) const;
  bool is_empty() const { return candidates_.empty(); }
  std::string hint() const;  // how a file that could not be used can be mended; may be empty

 private:
  // A place that candidates come from, as tried() names it. sources_[0] is the agent.
  struct Source {
    std::string name;
    std::string note;  // why it was not offered, or did not do
  };

  void plan_certificates(std::time_t now);
  void plan_agent(std::time_t now);
  void plan_files(std::time_t now);
  void plan_certificate(std::size_t index, std::time_t now);
  void plan_key(std::size_t index);
  std::string certificate_source_problem(const Certificate& certificate, std::time_t now) const;
  bool choose_signer(const Certificate& certificate, std::optional<std::size_t> beside,
                     Candidate* candidate) const;
  bool is_candidate(ByteView blob) const;
  void add(Candidate candidate);
  std::string agent_summary() const;

  Io& io_;
  const LoginSpec& spec_;
  const std::function<void()> wake_;

  std::unique_ptr<AgentClient> agent_;
  std::optional<Result<std::vector<AgentIdentity>>> agent_answer_;
  std::unique_ptr<Operation> loading_;
  std::shared_ptr<IdentityFiles> files_ = std::make_shared<IdentityFiles>();
  bool loaded_ = false;
  bool planned_ = false;

  std::vector<Candidate> candidates_;
  std::vector<std::size_t> order_;  // of candidates_, by index; what was offered goes to the end
  std::vector<Source> sources_{1};
  std::string weak_certificate_;
  std::string agent_without_keys_;        // why no key of the agent is a candidate
  std::vector<std::string> agent_notes_;  // per key that was not offered or did not do
  std::vector<bool> file_in_agent_;       // the agent has this file's key
};

// ssh names these files by itself, as "~/.ssh/id_rsa": that one is missing is no news.
bool is_default_identity(std::string_view path);

// The signature algorithms, comma-separated, with which keys of that type (or certificates) may sign by a
// PubkeyAcceptedAlgorithms list, the certificate's part of their names left out; empty: none. SHA-1 never is.
std::string accepted_algorithms(std::string_view key_type, std::string_view accepted);

}  // namespace jump
