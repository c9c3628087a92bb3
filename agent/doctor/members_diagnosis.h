// MembersDiagnosis: a bastion stands for several hosts, and each of them may be the next to serve: so the way
// to each is looked at, one after the other, as two at once could both ask a person. One report of all.
//
// Invariants: those of Diagnosis; each member has its part of the time that is left.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "doctor/diagnosis.h"

namespace jump {

class MembersDiagnosis final : public Operation {
 public:
  // `setup.host` is the bastion, `members` are not empty.
  MembersDiagnosis(Diagnosis::Setup setup, std::vector<std::string> members, Diagnosis::Done done);

 private:
  void next();
  void take(proto::DiagnosisReport report);

  Diagnosis::Setup setup_;
  const std::vector<std::string> members_;
  const TimePoint deadline_;
  Diagnosis::Done done_;
  std::size_t looked_at_ = 0;
  proto::DiagnosisReport report_;
  std::shared_ptr<Diagnosis> diagnosis_;
};

}  // namespace jump
