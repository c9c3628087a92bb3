#include "config/quantity.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <span>

#include "base/printable.h"

namespace jump {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t worth;
};
constexpr std::array<Unit, 4> kTimes = {{{"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizes = {{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};
// A year and a bit, in milliseconds, and 16 TiB: far from any overflow, and from any use.
constexpr std::uint64_t kMost = std::uint64_t{1} << 44;

Result<std::uint64_t> parse(std::string_view text, std::span<const Unit> units, const char* what,
                            const char* hint) {
  const Error wrong{Errc::kInvalid, fmt::format("'{}' is not {}", printable(text, 32), what), hint};
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc()) return wrong;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const auto unit =
      std::find_if(units.begin(), units.end(), [text](const Unit& each) { return each.name == text; });
  if (unit == units.end()) return wrong;
  if (number > kMost / unit->worth) return Error{Errc::kInvalid, wrong.message + ": it is too large", hint};
  return number * unit->worth;
}

std::string text_of(std::uint64_t value, std::span<const Unit> units) {
  const auto unit = std::find_if(units.begin(), units.end(), [value](const Unit& each) {
    return value >= each.worth && value % each.worth == 0;
  });
  const Unit& chosen = unit == units.end() ? units.back() : *unit;
  return fmt::format("{}{}", value / chosen.worth, chosen.name);
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  auto value = parse(text, kTimes, "a duration", "write \"500ms\", \"10s\", \"2m\" or \"1h\"");
  if (!value) return value.error();
  return Duration(milliseconds(*value));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  return parse(text, kSizes, "a size", "write \"512MiB\"; the units are B, KiB, MiB and GiB");
}

std::string duration_text(Duration duration) {
  const auto count = std::chrono::duration_cast<milliseconds>(duration).count();
  return text_of(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0)), kTimes);
}

std::string size_text(std::uint64_t bytes) { return text_of(bytes, kSizes); }

}  // namespace jump
