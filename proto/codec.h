// The messages (messages.h) to JSON and back. Reading is lenient where it may be: unknown fields are ignored,
// optional ones may be missing or null. Where it is not, the error names the field and says what was
// expected: "params.via: expected a string, found a number". Every struct of messages.h that has a method,
// and its parts, can be used for T; any other fails to link.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "proto/json.h"
#include "proto/messages.h"

namespace jump::proto {

template <class T>
Json encode(const T& message);

// `name` is what the error messages call the whole value. Errors: kInvalid.
template <class T>
Result<T> decode(const Json& value, std::string_view name);

// Absent (null) params are an empty object. Errors: kInvalid; answer them with code kInvalidParams.
template <class P>
Result<P> decode_params(const Json& params) {
  return decode<P>(params, "params");
}
template <class R>
Result<R> decode_result(const Json& result) {
  return decode<R>(result, "result");
}

// Errc <-> `kind`. An unknown kind (of a newer agent) is kRefused when read: it was understood and not done.
RpcError to_rpc_error(const Error& error, int code = kFailed);
Error to_error(const RpcError& error);
Errc errc_of_kind(std::string_view kind);

// The version that both sides speak: the highest common one. Errors: kUnsupported, with both ranges.
Result<int> negotiate(const HelloParams& hello);

}  // namespace jump::proto
