// JSON-RPC 2.0 (jsonrpc.org/specification) on lines: requests and answers taken apart and put together. The
// server's side reads
//
//   auto parsed = parse_request(line);
//   if (auto* bad = std::get_if<BadRequest>(&parsed)) return send(encode_error(bad->id, bad->error));
//   auto& request = std::get<Request>(parsed);          // request.method says which P, R and handler
//   auto params = decode_params<P>(request.params);
//   if (!params) return send(encode_error(request.id, to_rpc_error(params.error(), kInvalidParams)));
//   Result<R> result = handler(*params);
//   if (!request.is_notification()) send(encode_reply(request.id, result));
//
// An id is kept as JSON text: what came in goes out in the answer. Every encoded message is one line and ends
// in '\n'.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "proto/codec.h"
#include "proto/json.h"
#include "proto/messages.h"
#include "proto/methods.h"

namespace jump::proto {

// --- the server's side ---

struct Request {
  std::string method;
  Json params;     // null when absent; decode_params() checks the rest
  std::string id;  // JSON text: a string, number or null; empty in a notification, which gets no answer
  std::vector<Secret> answers;  // what stood in params.answers, see answers.h

  bool is_notification() const { return id.empty(); }
};
// A line that is no request: answer it with encode_error(id, error). The connection can go on.
struct BadRequest {
  std::string id = "null";  // the line's own where it could be told
  RpcError error;           // kParseError or kInvalidRequest
};
std::variant<Request, BadRequest> parse_request(std::string_view line);

// The params of a request, with its answers where they belong. Errors: kInvalid.
template <class P>
Result<P> decode_params(Request& request) {
  return decode_params<P>(request.params);
}
template <>
Result<InteractionRespondParams> decode_params(Request& request);

std::string encode_result(std::string_view id, const Json& result);
std::string encode_error(std::string_view id, const RpcError& error);

template <class R>
std::string encode_result(std::string_view id, const R& result) {
  return encode_result(id, encode(result));
}
// A handler's outcome: its result, or its error with code kFailed.
template <class R>
std::string encode_reply(std::string_view id, const Result<R>& outcome) {
  return outcome.ok() ? encode_result(id, *outcome) : encode_error(id, to_rpc_error(outcome.error()));
}

// Something that nobody asked for; no answer comes.
std::string encode_notification(std::string_view method, const Json& params);
template <class P>
std::string encode_notification(const Notification<P>& what, const P& params) {
  return encode_notification(what.name, encode(params));
}

RpcError method_not_found(std::string_view method);
RpcError line_too_long();  // send it with id "null", then end the connection

// --- the client's side ---

std::string encode_request(std::int64_t id, std::string_view method, const Json& params);

template <class P, class R>
std::string encode_request(std::int64_t id, const Method<P, R>& method, const P& params) {
  return encode_request(id, method.name, encode(params));
}

// interaction.respond, with its answers.
Secret encode_respond(std::int64_t id, const InteractionRespondParams& params);

// An answer, or a notification of the agent (then `method` is set and there is no id).
struct Answer {
  std::string id;  // JSON text
  std::string method;
  Json result;  // of an answer; params of a notification
  std::optional<RpcError> error;
};
// Errors: kProtocol.
Result<Answer> parse_answer(std::string_view line);

}  // namespace jump::proto
