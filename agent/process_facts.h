// What the process knows of itself, for `status`.
#pragma once

#include <cstdint>

namespace jump {

std::uint64_t resident_memory();   // bytes; 0 when unknown
std::uint64_t open_descriptors();  // of the first 65,536, which is more than the agent's own limits allow
std::uint64_t descriptor_limit();  // how many there may be

}  // namespace jump
