// What was measured, as a table for people and as JSON: a figure is a quantity with the samples of both
// programs, a sample per round. The ratio is the median of the rounds' ratios, so that a machine that is slow
// for a minute slows both sides of it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace jump::bench {

// What a figure ought to be.
struct Target {
  enum class Of { kRatio, kOurs } of;
  enum class Bound { kAtLeast, kAtMost } bound;
  double value;

  static Target ratio_at_least(double v) { return {Of::kRatio, Bound::kAtLeast, v}; }
  static Target ratio_at_most(double v) { return {Of::kRatio, Bound::kAtMost, v}; }
  static Target ours_at_least(double v) { return {Of::kOurs, Bound::kAtLeast, v}; }
  static Target ours_at_most(double v) { return {Of::kOurs, Bound::kAtMost, v}; }
};

struct Figure {
  std::string scenario;
  std::string name;
  std::string unit;
  std::vector<double> ours = {};    // jumpagent
  std::vector<double> theirs = {};  // OpenSSH; empty where it has nothing to compare
  std::optional<Target> target = {};
  std::vector<double> bare = {};  // of neither: the measuring equipment's own

  double our_median() const;
  double their_median() const;
  // Per round, where both have as many samples; of the medians otherwise; empty when there is nothing to
  // compare.
  std::vector<double> ratios() const;
  std::optional<bool> met() const;
};

class Report {
 public:
  explicit Report(nlohmann::json conditions) : conditions_(std::move(conditions)) {}

  void add(Figure figure);
  // Something that the reader of the figures must know.
  void note(std::string text);
  void failed(const std::string& scenario, const std::string& reason);

  // Figures added since the last call, with a heading before the first ones.
  std::string new_lines();
  std::string summary() const;
  nlohmann::json json() const;
  bool any_failed() const { return !failures_.empty(); }

 private:
  nlohmann::json conditions_;
  std::vector<Figure> figures_;
  std::vector<std::string> notes_;
  std::vector<std::string> failures_;
  std::size_t printed_ = 0;
};

}  // namespace jump::bench
