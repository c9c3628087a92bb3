#include "bench/report.h"

#include <fmt/format.h>

#include "bench/stats.h"

namespace jump::bench {

namespace {

// Three significant digits, as more are noise; no decimals from 100 on.
std::string number(double value) {
  if (value == 0) return "0";
  const int decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string range(const std::vector<double>& samples, const char* unit) {
  if (samples.size() < 2) return "";
  return fmt::format("({}–{}{})", number(percentile(samples, 0)), number(percentile(samples, 1)), unit);
}

std::string describe(const Target& target) {
  return fmt::format("{} {}{}", target.bound == Target::Bound::kAtLeast ? "≥" : "≤", number(target.value),
                     target.of == Target::Of::kRatio ? "×" : "");
}

std::string line(const Figure& f) {
  std::string text = fmt::format("{:<11}{:<44}", f.scenario, f.name + ", " + f.unit);
  if (!f.bare.empty()) return text + fmt::format("{:>10} {}\n", number(median(f.bare)), range(f.bare, ""));
  const std::vector<double> ratios = f.ratios();
  text += fmt::format("{:>10}{:>10}", f.ours.empty() ? "-" : number(f.our_median()),
                      f.theirs.empty() ? "-" : number(f.their_median()));
  text += fmt::format("{:>9} {:<15}", ratios.empty() ? "" : number(median(ratios)) + "×",
                      ratios.empty() ? range(f.ours, "") : range(ratios, "×"));
  if (f.target)
    text += fmt::format("{:<10}{}", describe(*f.target), !f.met() ? "" : *f.met() ? "met" : "NOT MET");
  return text + "\n";
}

}  // namespace

double Figure::our_median() const { return median(ours); }
double Figure::their_median() const { return median(theirs); }

std::vector<double> Figure::ratios() const {
  std::vector<double> ratios;
  if (ours.empty() || theirs.empty()) return ratios;
  if (ours.size() != theirs.size()) {
    if (their_median() > 0) ratios.push_back(our_median() / their_median());
    return ratios;
  }
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (theirs[i] > 0) ratios.push_back(ours[i] / theirs[i]);
  }
  return ratios;
}

std::optional<bool> Figure::met() const {
  if (!target) return std::nullopt;
  const std::vector<double> of = target->of == Target::Of::kRatio ? ratios() : ours;
  if (of.empty()) return std::nullopt;
  const double value = median(of);
  return target->bound == Target::Bound::kAtLeast ? value >= target->value : value <= target->value;
}

void Report::add(Figure figure) { figures_.push_back(std::move(figure)); }

void Report::note(std::string text) { notes_.push_back(std::move(text)); }

void Report::failed(const std::string& scenario, const std::string& reason) {
  failures_.push_back(scenario + ": " + reason);
}

std::string Report::new_lines() {
  std::string text;
  if (printed_ == 0 && !figures_.empty()) {
    text = fmt::format("{:<11}{:<44}{:>10}{:>10}{:>9} {:<15}{:<10}\n", "scenario", "figure", "jumpagent",
                       "OpenSSH", "ratio", "(min–max)", "target");
  }
  for (; printed_ < figures_.size(); ++printed_) text += line(figures_[printed_]);
  return text;
}

std::string Report::summary() const {
  std::string text;
  std::size_t met = 0, judged = 0;
  for (const Figure& f : figures_) {
    if (!f.met()) continue;
    ++judged;
    if (*f.met()) ++met;
  }
  for (const std::string& note : notes_) text += "note: " + note + "\n";
  for (const std::string& failure : failures_) text += "FAILED: " + failure + "\n";
  return text + fmt::format("{} of {} targets met; {} scenarios failed\n", met, judged, failures_.size());
}

nlohmann::json Report::json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Figure& f : figures_) {
    nlohmann::json entry = {{"scenario", f.scenario},
                            {"figure", f.name},
                            {"unit", f.unit},
                            {"jumpagent", f.ours},
                            {"openssh", f.theirs}};
    if (!f.ours.empty()) entry["jumpagent_median"] = f.our_median();
    if (!f.theirs.empty()) entry["openssh_median"] = f.their_median();
    if (const auto ratios = f.ratios(); !ratios.empty()) {
      entry["ratios"] = ratios;
      entry["ratio"] = median(ratios);
    }
    if (!f.bare.empty())
      entry = {{"scenario", f.scenario}, {"figure", f.name}, {"unit", f.unit}, {"bare", f.bare}};
    if (f.target) entry["target"] = describe(*f.target);
    if (f.met()) entry["met"] = *f.met();
    list.push_back(std::move(entry));
  }
  return {{"conditions", conditions_}, {"figures", list}, {"notes", notes_}, {"failures", failures_}};
}

}  // namespace jump::bench
