// Which forwards a person means: by id, by name, or by the SPEC that they were opened with, of whatever kind
// and in whatever spelling. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "proto/messages.h"

namespace jump::ctl {

struct ForwardChoice {
  std::string item;        // how the person put it; for one of a range, that one
  Result<std::string> id;  // or why there is none: kNotFound, kInvalid (several are meant)
};

// `directory`: where relative paths begin. A SPEC with a range of ports is as many choices. Each forward is
// chosen once, however often it is named.
std::vector<ForwardChoice> choose_forwards(const std::vector<proto::ForwardStatus>& forwards,
                                           const std::vector<std::string>& words,
                                           const std::string& directory);

}  // namespace jump::ctl
