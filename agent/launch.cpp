#include "launch.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/wire.h"

namespace jump {
namespace {

constexpr const char* kReportVariable = "JUMPAGENT_REPORT_FD";
constexpr int kReportDescriptor = 3;  // in the child

Error system_error(const char* what) {
  return Error{Errc::kInternal, std::string(what) + ": " + std::strerror(errno), {}};
}

// Between fork and exec: only async-signal-safe calls.
[[noreturn]] void become_child(const std::vector<char*>& argv, int report, int log) {
  setsid();
  // A second fork: the agent is nobody's session leader and never gets a controlling terminal.
  if (pid_t again = fork(); again != 0) _exit(again < 0 ? 1 : 0);
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(log >= 0 ? log : null, 1);
  dup2(log >= 0 ? log : null, 2);
  if (report == kReportDescriptor) {
    fcntl(report, F_SETFD, 0);
  } else {
    dup2(report, kReportDescriptor);
  }
  close_range(kReportDescriptor + 1, ~0U, 0);
  if (chdir("/") != 0) _exit(1);
  execv("/proc/self/exe", argv.data());
  _exit(127);
}

Result<std::string> read_report(int descriptor) {
  std::string text;
  TimePoint deadline = Clock::now() + kLaunchMax;
  std::array<char, 4096> buffer;
  for (;;) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{descriptor, POLLIN, 0};
    int ready = poll(&waiting, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Error{Errc::kTimeout, "it did not report within 15 s, and may still come up", {}};
    ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

// u32 pid and what was left, or u32 0 and the error.
Result<Launched> parse_report(const std::string& text) {
  WireReader in(as_bytes(text));
  std::uint32_t pid = in.u32();
  if (in.ok() && pid != 0) {
    Launched launched{static_cast<int>(pid), in.u32(), in.u32()};
    if (in.ok()) return launched;
  }
  Error error;
  error.code = static_cast<Errc>(in.u8());
  error.message = in.text();
  error.hint = in.text();
  if (!in.ok()) return Error{Errc::kInternal, "the agent died while it started", {}};
  return error;
}

}  // namespace

Result<Launched> launch_detached(const std::vector<std::string>& arguments, const std::string& log_file) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe");
  int log = log_file.empty() ? -1 : open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

  std::string program = "jumpagent";
  std::vector<std::string> words = arguments;
  std::vector<char*> argv{program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  setenv(kReportVariable, std::to_string(kReportDescriptor).c_str(), 1);
  pid_t child = fork();
  if (child == 0) become_child(argv, ends[1], log);
  int failure = errno;
  unsetenv(kReportVariable);
  close(ends[1]);
  if (log >= 0) close(log);
  if (child < 0) {
    close(ends[0]);
    errno = failure;
    return system_error("fork");
  }
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  Result<std::string> text = read_report(ends[0]);
  close(ends[0]);
  Result<Launched> launched = text ? parse_report(*text) : Result<Launched>(text.error());
  if (!launched && launched.error().hint.empty() && !log_file.empty()) {
    Error error = launched.error();
    error.hint = "see " + log_file;
    return error;
  }
  return launched;
}

int take_report_descriptor() {
  const char* text = std::getenv(kReportVariable);
  if (!text) return -1;
  int descriptor = -1;
  auto [end, failed] = std::from_chars(text, text + std::strlen(text), descriptor);
  bool usable = failed == std::errc() && *end == '\0' && descriptor > 2 && fcntl(descriptor, F_GETFD) >= 0;
  unsetenv(kReportVariable);
  if (!usable) return -1;
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return descriptor;
}

void report(int descriptor, const Result<Launched>& outcome) {
  if (descriptor < 0) return;
  WireWriter out;
  if (outcome) {
    out.u32(static_cast<std::uint32_t>(outcome->pid));
    out.u32(static_cast<std::uint32_t>(outcome->left_connections));
    out.u32(static_cast<std::uint32_t>(outcome->left_forwards));
  } else {
    const Error& error = outcome.error();
    out.u32(0).u8(static_cast<std::uint8_t>(error.code)).string(error.message).string(error.hint);
  }
  // One short write into an empty pipe: it does not block and does not come apart. A launcher that has gone
  // is no loss.
  [[maybe_unused]] ssize_t count = write(descriptor, out.view().data(), out.view().size());
  close(descriptor);
}

std::string state_directory_file(const std::string& name) {
  std::string base;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if (state && *state == '/') {
    base = state;
  } else if (home && *home == '/') {
    base = std::string(home) + "/.local/state";
  } else if (const passwd* entry = getpwuid(getuid())) {
    base = std::string(entry->pw_dir) + "/.local/state";
  } else {
    return {};
  }
  std::string directory = base + "/jumpagent";
  for (std::size_t slash = directory.find('/', 1);; slash = directory.find('/', slash + 1)) {
    std::string part = directory.substr(0, slash);
    mkdir(part.c_str(), 0700);  // where it cannot be made, whoever opens the file learns why
    if (slash == std::string::npos) return directory + "/" + name;
  }
}

}  // namespace jump
