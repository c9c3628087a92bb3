// A PAM service that the module support/pam_questions.c answers for, and a copy of sshd of that name, so that
// it asks this service. Root only: the service is a file in /etc/pam.d for as long as its owner lives.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

#include "support/temp_dir.h"

namespace jump::test {

class PamService {
 public:
  static bool possible() {
#ifdef JUMPAGENT_HAS_PAM_MODULE
    return ::getuid() == 0 && std::filesystem::is_directory("/etc/pam.d");
#else
    return false;
#endif
  }
  explicit PamService(const std::string& arguments) {
#ifdef JUMPAGENT_HAS_PAM_MODULE
    std::filesystem::copy_file("/usr/sbin/sshd", program());
    // Beside the tests' own directory, wherever that is now.
    const auto tests = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    const std::string module = tests.parent_path() / "lib" / "pam_questions.so";
    std::string text = fmt::format("auth required {} {}\n", module, arguments);
    for (const char* kind : {"account", "password", "session"})
      text += fmt::format("{} required {}\n", kind, module);
    directory_.write("service", text, 0644);
    std::filesystem::copy_file(directory_.file("service"), file_);
#else
    (void)arguments;
#endif
  }
  ~PamService() { std::filesystem::remove(file_); }

  std::string program() const { return directory_.file(name_); }

 private:
  TempDir directory_;
  // In lower case, as PAM makes its services' names so.
  std::string name_ =
      fmt::format("jumptest-{}-{:x}", ::getpid(), std::hash<std::string>()(directory_.path()));
  std::string file_ = "/etc/pam.d/" + name_;
};

}  // namespace jump::test
