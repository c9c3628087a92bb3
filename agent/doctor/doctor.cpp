#include "doctor/doctor.h"

#include <fmt/core.h>

#include <utility>

#include "doctor/members_diagnosis.h"

namespace jump {

// A diagnosis that is under way, or was until a moment ago.
class Doctor::Counted final : public Operation {
 public:
  explicit Counted(int& count) : count_(count) { ++count_; }
  ~Counted() override { --count_; }
  std::unique_ptr<Operation> diagnosis;

 private:
  int& count_;
};

std::string Doctor::next_name(const std::string& host) {
  return fmt::format("{} (doctor {})", host, ++last_name_);
}

Result<std::unique_ptr<Operation>> Doctor::diagnose(const std::string& host,
                                                    const std::vector<std::string>& members,
                                                    const std::string& waits_as, Duration limit,
                                                    Diagnosis::Done done) {
  if (running_ >= kMaxAtOnce) {
    return Error{Errc::kLimit, fmt::format("{} diagnoses are under way already", kMaxAtOnce),
                 "wait for one of them"};
  }
  auto counted = std::make_unique<Counted>(running_);
  Diagnosis::Setup setup{io_, routes_, budget_, file_, prompter_, host, waits_as, limit};
  if (members.empty()) {
    counted->diagnosis = std::make_unique<Diagnosis>(std::move(setup), std::move(done));
  } else {
    counted->diagnosis = std::make_unique<MembersDiagnosis>(std::move(setup), members, std::move(done));
  }
  return std::unique_ptr<Operation>(std::move(counted));
}

}  // namespace jump
