#include "ctl/ssh_config_hosts.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace jump::ctl {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f'; }

// A line's words as ssh_config(5) has them: between blanks, or between double quotes. A '=' may stand behind
// the keyword; a '#' at the beginning of a word begins a comment.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  while (true) {
    const bool after_keyword = words.size() == 1;
    while (!line.empty() && (is_blank(line.front()) || (after_keyword && line.front() == '=')))
      line.remove_prefix(1);
    if (line.empty() || line.front() == '#') return words;
    std::string word;
    const bool quoted = line.front() == '"';
    if (quoted) line.remove_prefix(1);
    const auto ends = [&](char c) { return quoted ? c == '"' : is_blank(c) || (words.empty() && c == '='); };
    while (!line.empty() && !ends(line.front())) {
      word.push_back(line.front());
      line.remove_prefix(1);
    }
    if (quoted && !line.empty()) line.remove_prefix(1);
    words.push_back(std::move(word));
  }
}

bool is_keyword(const std::string& word, std::string_view keyword) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(word.begin(), word.end(), keyword.begin(), keyword.end(),
                    [&](char a, char b) { return lower(a) == b; });
}

// Something to type: no pattern, no negation, and nothing that a terminal or a shell would take amiss.
bool is_name(const std::string& word) {
  const auto odd = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f ||
           std::string_view("*?!,;&|<>()$`\\\"'").find(c) != std::string_view::npos;
  };
  return !word.empty() && word.front() != '-' && std::none_of(word.begin(), word.end(), odd);
}

// Empty for what is no regular file: opening a FIFO would wait for its writer.
std::string contents_of(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return {};
  std::string text;
  struct stat info = {};
  if (::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
    text.resize(std::min<std::size_t>(static_cast<std::size_t>(info.st_size), SshConfigHosts::kMaxFileSize));
    const ssize_t count = ::read(descriptor, text.data(), text.size());
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  ::close(descriptor);
  return text;
}

std::vector<std::string> files_of(const std::string& pattern) {
  std::vector<std::string> files;
  glob_t found = {};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return files;
}

std::string absolute(const std::string& path, const std::string& home, const std::string& directory) {
  if (path.starts_with("~/")) return home + path.substr(1);
  return path.starts_with('/') ? path : directory + "/" + path;
}

}  // namespace

SshConfigNames read_ssh_config_names(std::string_view text) {
  SshConfigNames names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string> words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.size() < 2) continue;
    if (is_keyword(words[0], "host")) {
      std::copy_if(words.begin() + 1, words.end(), std::back_inserter(names.hosts), is_name);
    } else if (is_keyword(words[0], "include")) {
      names.includes.insert(names.includes.end(), words.begin() + 1, words.end());
    }
  }
  return names;
}

void SshConfigHosts::read(const std::string& file, const std::string& home, const std::string& directory) {
  read(file, home, directory, 0);
}

void SshConfigHosts::read(const std::string& file, const std::string& home, const std::string& directory,
                          int depth) {
  if (depth > kMaxDepth || files_.size() >= kMaxFiles || !files_.insert(file).second) return;
  const SshConfigNames names = read_ssh_config_names(contents_of(file));
  for (const std::string& host : names.hosts) {
    if (hosts_.size() < kMaxHosts) hosts_.insert(host);
  }
  for (const std::string& pattern : names.includes) {
    for (const std::string& each : files_of(absolute(pattern, home, directory)))
      read(each, home, directory, depth + 1);
  }
}

}  // namespace jump::ctl
