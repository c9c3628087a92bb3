// What a login is allowed to do, as ssh_config(5) has it. A value; empty or default where the user chose
// nothing.
#pragma once

#include <string>
#include <vector>

namespace jump {

struct LoginSpec {
  std::string user;
  std::vector<std::string> identity_files =
      {};  // IdentityFile in order, `~` expanded; "none" entries are skipped
  bool identities_only = false;
  std::string identity_agent = {};  // socket path; empty or "none": no agent

  // --- for questions ---
  std::string host = {};    // as prompts name it: HostKeyAlias or HostName
  std::string alias = {};   // what the user asked to be connected to (Question::host)
  std::string hop = {};     // who wants to know (Question::hop)
  bool batch_mode = false;  // BatchMode: nobody is asked

  // --- what is tried ---
  std::vector<std::string> certificate_files = {};          // CertificateFile, as identity_files
  std::vector<std::string> preferred_authentications = {};  // empty: ssh's own order
  bool pubkey_authentication = true;
  bool password_authentication = true;
  bool kbd_interactive_authentication = true;
  int number_of_password_prompts = 3;           // per method, and per key file for its passphrase
  std::string pubkey_accepted_algorithms = {};  // names, comma-separated; empty: all
};

}  // namespace jump
