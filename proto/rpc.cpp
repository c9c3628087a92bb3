// Answers are put together as text around the encoded result: an id goes out exactly as it was kept.
#include "proto/rpc.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "proto/answers.h"

namespace jump::proto {
namespace {

using nlohmann::json;

// An id is repeated in the answer; it is a name, not a place to put things.
constexpr std::size_t kMaxId = 1024;
// How much of a wrong name is worth repeating.
constexpr std::size_t kMaxQuoted = 64;

const char* type_of(const json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() ? "nothing" : it->type_name();
}

RpcError invalid_request(std::string message) {
  return RpcError{kInvalidRequest, std::move(message), std::string(errc_name(Errc::kInvalid)), {}};
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// Fills `id`; false when there is one that is none.
bool read_id(const json& object, std::string* id) {
  const auto it = object.find("id");
  if (it == object.end()) return true;
  if (!it->is_string() && !it->is_number() && !it->is_null()) return false;
  std::string text = dump(*it);
  if (text.size() > kMaxId) return false;
  *id = std::move(text);
  return true;
}

std::optional<RpcError> check_request(const json& object) {
  const auto version = object.find("jsonrpc");
  if (version == object.end() || *version != "2.0") {
    return invalid_request("jsonrpc: expected the string \"2.0\"");
  }
  const auto method = object.find("method");
  if (method == object.end() || !method->is_string()) {
    return invalid_request(fmt::format("method: expected a string, found {}", type_of(object, "method")));
  }
  return std::nullopt;
}

}  // namespace

std::variant<Request, BadRequest> parse_request(std::string_view line) {
  std::optional<Lifted> lifted = lift_answers(line);
  Result<Json> parsed = Json::parse(lifted ? std::string_view(lifted->line) : line);
  if (!parsed.ok()) return BadRequest{"null", to_rpc_error(parsed.error(), kParseError)};
  const json& object = parsed->value();
  if (object.is_array()) {
    return BadRequest{"null", invalid_request("batches are not supported: send one request object per line")};
  }
  if (!object.is_object()) {
    return BadRequest{
        "null", invalid_request(fmt::format("request: expected an object, found {}", object.type_name()))};
  }
  Request request;
  if (!read_id(object, &request.id)) {
    return BadRequest{"null", invalid_request(fmt::format(
                                  "id: expected a string or number of at most {} bytes, or null", kMaxId))};
  }
  if (auto error = check_request(object)) {
    return BadRequest{request.is_notification() ? "null" : request.id, *std::move(error)};
  }
  request.method = object["method"].get_ref<const std::string&>();
  if (const auto params = object.find("params"); params != object.end()) request.params = Json(*params);
  if (lifted) request.answers = std::move(lifted->answers);
  return request;
}

template <>
Result<InteractionRespondParams> decode_params(Request& request) {
  auto params = decode_params<InteractionRespondParams>(request.params);
  if (!params.ok()) return params;
  if (params->answers.size() != request.answers.size()) {
    return Error{Errc::kInvalid,
                 fmt::format("params.answers: expected at most {} strings, and no other 'answers'", kMaxAnswers),
                 {}};
  }
  params->answers = std::move(request.answers);
  return params;
}

std::string encode_result(std::string_view id, const Json& result) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{}}}\n", id, result.dump());
}

std::string encode_error(std::string_view id, const RpcError& error) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{}}}\n", id, encode(error).dump());
}

std::string encode_notification(std::string_view method, const Json& params) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"method\":{},\"params\":{}}}\n", Json(json(method)).dump(),
                     params.dump());
}

RpcError method_not_found(std::string_view method) {
  return RpcError{kMethodNotFound, fmt::format("unknown method: {}", method.substr(0, kMaxQuoted)),
                  std::string(errc_name(Errc::kUnsupported)), "this agent may be older than the client"};
}

RpcError line_too_long() {
  return RpcError{kInvalidRequest,
                  fmt::format("request: longer than {} bytes", kMaxLine),
                  std::string(errc_name(Errc::kLimit)),
                  {}};
}

std::string encode_request(std::int64_t id, std::string_view method, const Json& params) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":{},\"params\":{}}}\n", id,
                     Json(json(method)).dump(), params.value().is_null() ? "{}" : params.dump());
}

Secret encode_respond(std::int64_t id, const InteractionRespondParams& params) {
  return insert_answers(encode_request(id, method::kInteractionRespond, params), params.answers);
}

Result<Answer> parse_answer(std::string_view line) {
  Result<Json> parsed = Json::parse(line);
  if (!parsed.ok()) return Error{Errc::kProtocol, parsed.error().message, {}}.context("answer");
  const json& object = parsed->value();
  if (!object.is_object()) {
    return Error{
        Errc::kProtocol, fmt::format("answer: expected an object, found {}", object.type_name()), {}};
  }
  Answer answer;
  if (!read_id(object, &answer.id)) return Error{Errc::kProtocol, "answer: its id is none", {}};
  if (const auto error = object.find("error"); error != object.end() && !error->is_null()) {
    Result<RpcError> decoded = decode<RpcError>(Json(*error), "error");
    if (!decoded.ok()) return Error{Errc::kProtocol, decoded.error().message, {}}.context("answer");
    answer.error = *std::move(decoded);
  } else if (const auto result = object.find("result"); result != object.end()) {
    answer.result = Json(*result);
  } else if (const auto method = object.find("method"); method != object.end() && method->is_string()) {
    answer.method = method->get_ref<const std::string&>();
    if (const auto params = object.find("params"); params != object.end()) answer.result = Json(*params);
  } else {
    return Error{Errc::kProtocol, "answer: neither a result nor an error", {}};
  }
  return answer;
}

}  // namespace jump::proto
