// A number that whoever runs a test may set in the environment: how long, how much, which seed.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace jump::test {

// `otherwise` when the variable is unset, empty or 0.
inline std::uint64_t env_number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  const std::uint64_t number = text ? std::strtoull(text, nullptr, 10) : 0;
  return number ? number : otherwise;
}

}  // namespace jump::test
