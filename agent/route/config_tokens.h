// ConfigTokens: ssh_config(5)'s TOKENS and ENVIRONMENT VARIABLES, for the values that `ssh -G` prints as they
// were written. With OpenSSH 9.2 these are IdentityFile, CertificateFile, RevokedHostKeys, ProxyCommand and
// ProxyJump; UserKnownHostsFile and IdentityAgent come expanded, and must not be expanded again. Pure, but
// for the environment.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jump {

struct ConfigTokens {
  std::string home;                                            // %d, ~
  std::string local_user;                                      // %u
  std::string uid;                                             // %i
  std::string host;                                            // %h
  std::string alias;                                           // %n
  std::string key_alias;                                       // %k
  std::string port;                                            // %p
  std::string user;                                            // %r
  std::string hash;                                            // %C ┐
  std::string local_host;                                      // %l │ as ssh itself says
  std::string local_short;                                     // %L ┘
  std::string jump;                                            // %j
  std::map<std::string, std::string, std::less<>> homes = {};  // of other users: ~NAME

  // A file's name: ~ or ~NAME first, then tokens and ${NAME}. Errors: kInvalid, for a user or a variable that
  // there is not (as ssh).
  Result<std::string> file(std::string_view text) const;
  // What a shell is to read, or ProxyJump: %% %h %n %p %r only.
  std::string command(std::string_view text) const;

 private:
  const std::string* value(char token) const;
};

}  // namespace jump
