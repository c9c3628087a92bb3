#include "ctl/diagnosis_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "ctl/table.h"

namespace jump::ctl {
namespace {

constexpr std::size_t kMarkWidth = 4;

struct Mark {
  std::string_view text;
  Colour colour;
};

Mark mark_of(std::string_view outcome) {
  if (outcome == "ok") return {"ok", Colour::kGreen};
  if (outcome == "note") return {"note", Colour::kYellow};
  if (outcome == "failed") return {"FAIL", Colour::kRed};
  if (outcome == "skipped") return {"-", Colour::kNone};
  return {outcome, Colour::kNone};  // of a newer agent
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  const std::size_t have = display_width(text);
  return have < width ? out + std::string(width - have, ' ') : out;
}

std::string heading(const proto::DiagnosisReport& report, const std::string& hop) {
  const auto found = std::find_if(report.hops.begin(), report.hops.end(),
                                  [&hop](const proto::DiagnosisHop& each) { return each.hop == hop; });
  return sanitized(found == report.hops.end() ? hop : fmt::format("{} ({})", hop, found->address));
}

}  // namespace

std::string render_steps(const proto::DiagnosisReport& report, Style style) {
  std::size_t width = 0;
  for (const proto::DiagnosisStep& step : report.steps) width = std::max(width, display_width(step.step));
  std::string out;
  const std::string* hop = nullptr;
  for (const proto::DiagnosisStep& step : report.steps) {
    if (!hop || *hop != step.hop)
      out += coloured(heading(report, step.hop), Colour::kBold, style.colour) + "\n";
    hop = &step.hop;
    const Mark mark = mark_of(step.outcome);
    out += fmt::format("  {}  {}  {}\n",
                       coloured(padded(sanitized(mark.text), kMarkWidth), mark.colour, style.colour),
                       padded(sanitized(step.step), width), sanitized(step.detail));
    if (!step.advice.empty())
      out += fmt::format("{}-> {}\n", std::string(kMarkWidth + width + 6, ' '), sanitized(step.advice));
  }
  return out;
}

std::string render_verdict(const proto::DiagnosisReport& report, Style style) {
  if (report.healthy) return coloured("all is well", Colour::kGreen, style.colour) + "\n";
  std::string failed, last;
  for (const proto::DiagnosisStep& step : report.steps) {
    const std::string name = fmt::format("{}: {}", step.hop, step.step);
    if (step.outcome != "failed" || name == last) continue;
    failed += (failed.empty() ? "" : ", ") + name;
    last = name;
  }
  return coloured(sanitized("failed: " + failed), Colour::kRed, style.colour) + "\n";
}

}  // namespace jump::ctl
