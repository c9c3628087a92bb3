// Parsing builds the value from nlohmann's SAX events, so that the depth is checked while it grows: the
// parser itself keeps its nesting on the heap, but copying and printing a value recurse. Messages name a
// position and never repeat the text, which may hold a secret.
#include "proto/json.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace jump::proto {
namespace {

using nlohmann::json;

class Builder {
 public:
  using number_integer_t = json::number_integer_t;
  using number_unsigned_t = json::number_unsigned_t;
  using number_float_t = json::number_float_t;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(json::binary_t&) { return false; }  // no such thing in JSON text

  bool start_object(std::size_t) { return open(json::object()); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_array() { return close(); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) {
    // 406: a number beyond what a double can hold.
    const char* what = e.id == 406 ? "a number is out of range" : "not valid JSON";
    error_ = fmt::format("{}, at byte {}", what, position);
    return false;
  }

  json take_root() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool add(json value) {
    place(std::move(value));
    return true;
  }

  // Pointers on the stack stay good: while a value is open, nothing is added next to it.
  json* place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool open(json empty) {
    if (open_.size() == Json::kMaxDepth) {
      error_ = fmt::format("nested deeper than {} levels", Json::kMaxDepth);
      return false;
    }
    open_.push_back(place(std::move(empty)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  json root_;
  std::vector<json*> open_;
  std::string key_;
  std::string error_;
};

}  // namespace

Json::Json(json value) : value_(std::make_shared<const json>(std::move(value))) {}

Result<Json> Json::parse(std::string_view text) {
  Builder builder;
  if (json::sax_parse(text, &builder)) return Json(builder.take_root());
  return Error{Errc::kInvalid, builder.error(), {}};
}

std::string Json::dump() const { return value().dump(-1, ' ', false, json::error_handler_t::replace); }

std::string Json::pretty() const { return value().dump(2, ' ', true, json::error_handler_t::replace); }

const json& Json::value() const {
  static const json null;
  return value_ ? *value_ : null;
}

}  // namespace jump::proto
