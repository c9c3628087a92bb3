#include "session/sessions.h"

#include <utility>

namespace jump {

Result<std::unique_ptr<Sessions::Membership>> Sessions::join(Member& member) {
  if (members_.size() >= kMaxSessions) {
    refused_++;
    return Error{Errc::kLimit, "there are " + std::to_string(kMaxSessions) + " sessions already",
                 "end some of them"};
  }
  members_.emplace(++last_, &member);
  changed();
  return std::make_unique<Membership>(*this, last_);
}

void Sessions::leave(std::uint64_t number) {
  members_.erase(number);
  changed();
}

std::vector<std::pair<std::string, SessionFacts>> Sessions::all() const {
  std::vector<std::pair<std::string, SessionFacts>> list;
  list.reserve(members_.size());
  for (const auto& [number, member] : members_)
    list.emplace_back("s" + std::to_string(number), member->facts());
  return list;
}

std::uint64_t Sessions::moved() const {
  std::uint64_t sum = 0;
  for (const auto& [number, member] : members_) {
    const SessionFacts facts = member->facts();
    sum += facts.bytes_in + facts.bytes_out;
  }
  return sum;
}

void Sessions::end_all(const Error& reason) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, member] : members_) numbers.push_back(number);
  for (std::uint64_t number : numbers) {
    const auto found = members_.find(number);
    if (found != members_.end()) found->second->end_now(reason);
  }
}

}  // namespace jump
