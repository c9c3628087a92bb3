#include "doctor/members_diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace jump {

MembersDiagnosis::MembersDiagnosis(Diagnosis::Setup setup, std::vector<std::string> members,
                                   Diagnosis::Done done)
    : setup_(std::move(setup)),
      members_(std::move(members)),
      deadline_(setup_.io.now() + setup_.limit),
      done_(std::move(done)) {
  report_.healthy = true;
  report_.host = setup_.host;
  Findings itself(setup_.host);
  itself.ok(step::kConfig,
            fmt::format("stands for {}, by the agent's config file", fmt::join(members_, ", ")));
  report_.steps = itself.steps();
  next();
}

void MembersDiagnosis::next() {
  Diagnosis::Setup setup = setup_;
  setup.host = members_[looked_at_];
  const auto left = static_cast<int>(members_.size() - looked_at_);
  setup.limit = std::max(deadline_ - setup_.io.now(), Duration::zero()) / left;
  ++looked_at_;
  diagnosis_ = std::make_shared<Diagnosis>(
      std::move(setup), [this](proto::DiagnosisReport report) { take(std::move(report)); });
}

void MembersDiagnosis::take(proto::DiagnosisReport report) {
  report_.healthy = report_.healthy && report.healthy;
  report_.hops.insert(report_.hops.end(), report.hops.begin(), report.hops.end());
  report_.steps.insert(report_.steps.end(), report.steps.begin(), report.steps.end());
  setup_.io.dispose(std::move(diagnosis_));  // it is calling us
  if (looked_at_ < members_.size()) return next();
  Diagnosis::Done done = std::move(done_);
  done(std::move(report_));
}

}  // namespace jump
