#include "doctor/findings.h"

#include <algorithm>

namespace jump {
namespace {

constexpr const char* kFailed = "failed";

}  // namespace

void Findings::add(std::string_view step, const char* outcome, std::string detail, std::string advice) {
  found_.push_back({{hop_, std::string(step), outcome, std::move(detail), std::move(advice)}, {}});
}

void Findings::ok(std::string_view step, std::string detail) { add(step, "ok", std::move(detail), {}); }

void Findings::note(std::string_view step, std::string detail, std::string advice) {
  add(step, "note", std::move(detail), std::move(advice));
}

void Findings::skip(std::string_view step, std::string detail, std::string advice) {
  add(step, "skipped", std::move(detail), std::move(advice));
}

void Findings::fail(std::string_view step, std::string detail, std::string advice) {
  add(step, kFailed, std::move(detail), std::move(advice));
}

void Findings::suspect(std::string_view step, std::string detail, std::string advice,
                       std::vector<std::string_view> explains) {
  note(step, std::move(detail), std::move(advice));
  found_.back().explains = std::move(explains);
}

void Findings::append(Findings more) {
  for (Found& each : more.found_) {
    each.step.hop = hop_;
    found_.push_back(std::move(each));
  }
}

bool Findings::has_failed(std::string_view step) const {
  return std::any_of(found_.begin(), found_.end(), [step](const Found& each) {
    return each.step.step == step && each.step.outcome == kFailed;
  });
}

bool Findings::failed() const {
  return std::any_of(found_.begin(), found_.end(),
                     [](const Found& each) { return each.step.outcome == kFailed; });
}

std::vector<proto::DiagnosisStep> Findings::steps() const {
  std::vector<proto::DiagnosisStep> out;
  for (const Found& each : found_) {
    out.push_back(each.step);
    const bool guilty = std::any_of(each.explains.begin(), each.explains.end(),
                                    [this](std::string_view step) { return has_failed(step); });
    if (guilty) out.back().outcome = kFailed;
  }
  return out;
}

}  // namespace jump
