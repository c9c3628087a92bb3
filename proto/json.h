// A JSON value as the rest of the code passes it around: parsed, immutable, cheap to copy. nlohmann's heavy
// header stays in the .cpp files of proto/. Invariant: never nested deeper than kMaxDepth, so recursion over
// a value from outside is bounded.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jump::proto {

class Json {
 public:
  // Our own messages are 4 levels deep; 64 leaves room for what clients may add, and is far from any stack's
  // end.
  static constexpr std::size_t kMaxDepth = 64;

  Json() = default;  // null
  explicit Json(nlohmann::json value);

  // One complete JSON text, in UTF-8. Errors: kInvalid, with the position.
  static Result<Json> parse(std::string_view text);
  // On one line, without a newline. Text that is not UTF-8 comes out with U+FFFD in its place.
  std::string dump() const;
  // On several lines and in ASCII (the rest as \uXXXX), so that it is safe to show on a terminal.
  std::string pretty() const;

  const nlohmann::json& value() const;

 private:
  std::shared_ptr<const nlohmann::json> value_;  // none: null
};

}  // namespace jump::proto
