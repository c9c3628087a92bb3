// What the process knows of itself, for `status`.
#pragma once

#include <cstdint>
#include <string>

namespace jump {

// Tells one build of this program from another: a hash of its file. Reads all of it. Empty when it cannot.
std::string program_build();
std::uint64_t resident_memory();   // bytes; 0 when unknown
std::uint64_t open_descriptors();  // of the first 65,536, which is more than the agent's own limits allow
std::uint64_t descriptor_limit();  // how many there may be

}  // namespace jump
