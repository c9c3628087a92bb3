#include "route/config_dump.h"

#include <charconv>

namespace jump {

ConfigDump::ConfigDump(std::string_view text) {
  while (!text.empty()) {
    auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    auto space = line.find(' ');
    if (space == std::string_view::npos) continue;
    options_[std::string(line.substr(0, space))].emplace_back(line.substr(space + 1));
  }
}

const std::vector<std::string>& ConfigDump::all(std::string_view name) const {
  static const std::vector<std::string> kNone;
  auto found = options_.find(name);
  return found == options_.end() ? kNone : found->second;
}

std::string ConfigDump::one(std::string_view name) const {
  const std::vector<std::string>& values = all(name);
  return values.empty() ? std::string() : values.front();
}

std::string ConfigDump::some(std::string_view name) const {
  std::string value = one(name);
  return value == "none" ? std::string() : value;
}

bool ConfigDump::flag(std::string_view name, bool otherwise) const {
  std::string value = one(name);
  return value.empty() ? otherwise : value != "no" && value != "false";
}

long ConfigDump::number(std::string_view name, long otherwise, long least, long most) const {
  std::string text = one(name);
  long value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = failed == std::errc() && end == text.data() + text.size() && !text.empty();
  return whole && value >= least && value <= most ? value : otherwise;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    auto end = text.find(separator);
    if (std::string_view part = text.substr(0, end); !part.empty()) parts.emplace_back(part);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

std::vector<std::string> split_files(std::string_view list) {
  std::vector<std::string> files;
  for (std::string& piece : split_list(list, ' ')) {
    bool begins = piece.front() == '/' || piece.front() == '~' || piece == "none" || files.empty();
    if (begins) {
      files.push_back(std::move(piece));
    } else {
      files.back() += " " + piece;
    }
  }
  return files;
}

}  // namespace jump
