#include "support/on_terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/eventually.h"

namespace jump::test {
namespace {

constexpr Duration kShowDeadline = seconds(60);
constexpr Duration kEndDeadline = seconds(60);

}  // namespace

OnTerminal::OnTerminal(std::vector<std::string> argv, const Environment& env) {
  std::vector<std::string> assignments;
  for (const auto& [name, value] : env) assignments.push_back(name + "=" + value);
  std::vector<char*> c_argv, c_env;
  for (std::string& each : argv) c_argv.push_back(each.data());
  for (std::string& each : assignments) c_env.push_back(each.data());
  c_argv.push_back(nullptr);
  c_env.push_back(nullptr);
  int master = -1;
  pid_ = ::forkpty(&master, nullptr, nullptr, nullptr);
  if (pid_ == 0) {
    ::execve(c_argv[0], c_argv.data(), c_env.data());
    ::_exit(127);
  }
  master_ = UniqueFd(master);
}

OnTerminal::~OnTerminal() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void OnTerminal::type(const std::string& text) {
  EXPECT_EQ(::write(master_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

void OnTerminal::paste(const std::string& text) {
  const int flags = ::fcntl(master_.get(), F_GETFL);
  ::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK);
  std::size_t done = 0;
  const bool all = eventually(
      [&] {
        (void)shown();
        const ssize_t count = ::write(master_.get(), text.data() + done, text.size() - done);
        if (count > 0) done += static_cast<std::size_t>(count);
        return done == text.size();
      },
      kEndDeadline);
  ::fcntl(master_.get(), F_SETFL, flags);
  EXPECT_TRUE(all) << done << " of " << text.size() << " bytes";
}

void OnTerminal::resize(unsigned short columns, unsigned short rows) {
  const winsize size{rows, columns, 0, 0};
  EXPECT_EQ(::ioctl(master_.get(), TIOCSWINSZ, &size), 0);
}

const std::string& OnTerminal::shown() {
  pollfd poller{master_.get(), POLLIN, 0};
  char buffer[4096];
  while (::poll(&poller, 1, 0) > 0) {
    const ssize_t count = ::read(master_.get(), buffer, sizeof buffer);
    if (count <= 0) break;
    shown_.append(buffer, static_cast<std::size_t>(count));
  }
  return shown_;
}

int OnTerminal::count(const std::string& text) {
  int found = 0;
  for (std::size_t at = shown().find(text); at != std::string::npos; at = shown_.find(text, at + 1)) ++found;
  return found;
}

bool OnTerminal::shows(const std::string& text, int times) {
  return eventually([&] { return count(text) >= times; }, kShowDeadline);
}

int OnTerminal::exit_status() {
  int status = 0;
  const bool ended = eventually(
      [&] {
        (void)shown();  // so that it never waits for its reader
        return ::waitpid(pid_, &status, WNOHANG) == pid_;
      },
      kEndDeadline);
  if (!ended) return -1;
  pid_ = -1;
  (void)shown();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void OnTerminal::kill() { ::kill(pid_, SIGKILL); }

bool OnTerminal::echoes() const {
  termios now{};
  return ::tcgetattr(master_.get(), &now) == 0 && (now.c_lflag & ECHO) != 0;
}

bool OnTerminal::is_raw() const {
  termios now{};
  return ::tcgetattr(master_.get(), &now) == 0 && (now.c_oflag & OPOST) == 0 && (now.c_lflag & ICANON) == 0;
}

}  // namespace jump::test
