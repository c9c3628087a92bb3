#include "doctor/config_sources.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace jump {
namespace {

constexpr std::string_view kSpace = " \t\r\f";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

struct Place {
  std::string file;
  int line = 0;
};

// "FILE line 12: WHAT…" with `what` the beginning of the last part.
std::optional<Place> place_before(std::string_view text, std::string_view what) {
  const std::size_t colon = text.find(std::string(": ") + std::string(what));
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view head = text.substr(0, colon);
  const std::size_t middle = head.rfind(" line ");
  if (middle == std::string_view::npos) return std::nullopt;
  const std::string_view digits = head.substr(middle + 6);
  Place place{std::string(head.substr(0, middle)), 0};
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), place.line);
  if (failed != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return place;
}

// A line of a configuration file: "Keyword value", "Keyword=value".
struct Option {
  std::string keyword;  // in small letters
  std::string_view value;
};

Option split_option(std::string_view line) {
  line = trimmed(line);
  if (line.empty() || line.front() == '#') return {};
  const std::size_t end = std::min(line.find_first_of(" \t="), line.size());
  Option option{lower(line.substr(0, end)), trimmed(line.substr(end))};
  if (option.value.starts_with('=')) option.value = trimmed(option.value.substr(1));
  if (option.value.size() > 1 && option.value.front() == '"' && option.value.back() == '"')
    option.value = option.value.substr(1, option.value.size() - 2);
  return option;
}

}  // namespace

AppliedBlocks AppliedBlocks::parse(std::string_view debug_output) {
  AppliedBlocks out;
  std::set<std::string> not_applied;  // included by a block that does not apply
  std::optional<Place> match;         // the Match line that is being judged
  while (!debug_output.empty()) {
    std::string_view line = next_line(debug_output);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("debug")) continue;
    line.remove_prefix(std::min(line.find(": ") + 2, line.size()));
    constexpr std::string_view kReading = "Reading configuration data ", kIncluding = "Including file ";
    if (line.starts_with(kReading)) {
      std::string file(line.substr(kReading.size()));
      const bool again = std::find(out.files.begin(), out.files.end(), file) != out.files.end();
      if (!again && !not_applied.contains(file)) out.files.push_back(std::move(file));
    } else if (place_before(line, kIncluding)) {
      std::string_view rest = line.substr(line.find(kIncluding) + kIncluding.size());
      std::string file(rest.substr(0, rest.rfind(" depth ")));
      line.ends_with("(parse only)") ? (void)not_applied.insert(std::move(file))
                                     : (void)not_applied.erase(file);
    } else if (auto place = place_before(line, "Applying options for ")) {
      out.blocks[place->file].insert(place->line);
    } else if (auto judged = place_before(line, "matched ")) {
      match = std::move(judged);
    } else if (line == "match found" && match) {
      out.blocks[match->file].insert(match->line);
      match.reset();
    } else if (line == "match not found") {
      match.reset();
    }
  }
  return out;
}

std::optional<ConfigLine> find_option(const AppliedBlocks& applied, std::string_view option,
                                      const ReadText& read) {
  for (const std::string& file : applied.files) {
    const std::optional<std::string> text = read(file);
    if (!text) continue;
    const auto blocks = applied.blocks.find(file);
    bool in_force = true;
    int number = 0;
    for (std::string_view rest = *text; !rest.empty();) {
      ++number;
      const Option found = split_option(next_line(rest));
      if (found.keyword == "host" || found.keyword == "match") {
        in_force = blocks != applied.blocks.end() && blocks->second.contains(number);
        in_force = in_force || (found.keyword == "match" && lower(found.value) == "all");
      }
      if (!in_force || found.keyword != option) continue;
      if (lower(found.value) == "none") return std::nullopt;
      return ConfigLine{file, number, std::string(found.value)};
    }
  }
  return std::nullopt;
}

}  // namespace jump
