#include "hop/hop_plans.h"

namespace jump {

HostKeySpec host_key_spec(const HopSpec& spec) {
  HostKeySpec out;
  out.hop = spec.describe();
  out.host = spec.alias;
  out.host_name = spec.host;
  out.name = spec.known_hosts_name();
  out.port = spec.known_hosts_port();
  out.ssh_command = spec.ssh_command;
  out.connect_command = spec.connect_command;
  out.files = spec.known_hosts_files;
  out.user_files = spec.user_known_hosts_files;
  out.revoked_host_keys = spec.revoked_host_keys;
  out.strict = spec.strict_host_key_checking;
  out.hash_known_hosts = spec.hash_known_hosts;
  out.may_ask = !spec.batch_mode;
  return out;
}

LoginSpec login_spec(const HopSpec& spec) {
  LoginSpec out;
  out.user = spec.user;
  out.host = spec.known_hosts_name();
  out.alias = spec.alias;
  out.hop = spec.describe();
  out.batch_mode = spec.batch_mode;
  out.identity_files = spec.identity_files;
  out.certificate_files = spec.certificate_files;
  out.identities_only = spec.identities_only;
  out.identity_agent = spec.identity_agent;
  out.preferred_authentications = spec.preferred_authentications;
  out.pubkey_authentication = spec.pubkey_authentication;
  out.password_authentication = spec.password_authentication;
  out.kbd_interactive_authentication = spec.kbd_interactive_authentication;
  out.number_of_password_prompts = spec.number_of_password_prompts;
  out.pubkey_accepted_algorithms = spec.pubkey_accepted_algorithms;
  return out;
}

}  // namespace jump
