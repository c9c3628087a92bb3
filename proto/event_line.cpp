#include "proto/event_line.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "proto/codec.h"
#include "proto/methods.h"

namespace jump::proto {

std::string encode_event_members(const Event& event) {
  nlohmann::json object = encode(event).value();
  object.erase("seq");
  const std::string text = Json(std::move(object)).dump();
  return text.substr(1, text.size() - 2);  // without the braces
}

std::string event_line(std::uint64_t seq, std::string_view members) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"method\":\"{}\",\"params\":{{\"seq\":{},{}}}}}\n",
                     notification::kEvent.name, seq, members);
}

}  // namespace jump::proto
