// Reader fills a message from JSON and stops at the first wrong field, Writer builds JSON from one; which
// fields there are, message_fields.h says for both.
#include "proto/codec.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <nlohmann/json.hpp>
#include <utility>

#include "proto/message_fields.h"

namespace jump::proto {
namespace {

using nlohmann::json;

std::string describe_found(const json* value) {
  if (value == nullptr) return "nothing";
  switch (value->type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::boolean:
      return "a boolean";
    case json::value_t::string:
      return "a string";
    case json::value_t::array:
      return "an array";
    case json::value_t::object:
      return "an object";
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      return "a number";
    default:
      return "something else";
  }
}

// For a number of the wrong kind or size, the number itself says more than "a number".
std::string describe_number(const json& value) {
  return value.is_number() ? value.dump() : describe_found(&value);
}

Error wrong(const std::string& path, std::string_view expected, std::string_view found) {
  return Error{Errc::kInvalid, fmt::format("{}: expected {}, found {}", path, expected, found), {}};
}

// --- reading ---

Status read_value(const json& value, std::string& out, const std::string& path) {
  if (!value.is_string()) return wrong(path, "a string", describe_found(&value));
  out = value.get_ref<const std::string&>();
  return {};
}

Status read_value(const json& value, bool& out, const std::string& path) {
  if (!value.is_boolean()) return wrong(path, "a boolean", describe_found(&value));
  out = value.get<bool>();
  return {};
}

Status read_value(const json& value, double& out, const std::string& path) {
  if (!value.is_number()) return wrong(path, "a number", describe_found(&value));
  out = value.get<double>();
  return {};
}

Status read_value(const json& value, int& out, const std::string& path) {
  if (!value.is_number_integer()) return wrong(path, "an integer", describe_number(value));
  const bool fits = value.is_number_unsigned() ? std::in_range<int>(value.get<std::uint64_t>())
                                               : std::in_range<int>(value.get<std::int64_t>());
  if (!fits) return wrong(path, "an integer of 32 bits", value.dump());
  out = value.get<int>();
  return {};
}

Status read_value(const json& value, std::uint64_t& out, const std::string& path) {
  if (!value.is_number_unsigned()) return wrong(path, "a non-negative integer", describe_number(value));
  out = value.get<std::uint64_t>();
  return {};
}

// Of lines from outside the text is gone already (answers.h), and what is read here is empty.
Status read_value(const json& value, Secret& out, const std::string& path) {
  if (!value.is_string()) return wrong(path, "a string", describe_found(&value));
  out = Secret(std::string_view(value.get_ref<const std::string&>()));
  return {};
}

template <class T>
Status read_value(const json& value, std::vector<T>& out, const std::string& path);
template <class T>
requires std::is_class_v<T> Status read_value(const json& value, T& message, const std::string& path);

template <class T>
Status read_value(const json& value, std::map<std::string, T>& out, const std::string& path);

template <class T>
Status read_value(const json& value, std::optional<T>& out, const std::string& path) {
  return read_value(value, out.emplace(), path);
}

class Reader {
 public:
  template <class T>
  using Of = T;

  Reader(const json& object, const std::string& path) : object_(object), path_(path) {}

  template <class T>
  void required(const char* name, T& out) {
    if (!status_.ok()) return;
    const json* value = find(name);
    if (value == nullptr || value->is_null()) {
      status_ = wrong(path_of(name), expected_of(out), describe_found(value));
    } else {
      status_ = read_value(*value, out, path_of(name));
    }
  }

  template <class T>
  void optional(const char* name, T& out) {
    if (!status_.ok()) return;
    if (const json* value = find_present(name)) status_ = read_value(*value, out, path_of(name));
  }

  void secrets(const char* name, std::vector<Secret>& out) { optional(name, out); }

  void timeout(const char* name, std::optional<double>& out) {
    optional(name, out);
    if (!status_.ok() || !out) return;
    if (*out >= 0 && *out <= kMaxTimeout) return;
    status_ =
        wrong(path_of(name), fmt::format("seconds, 0 to {}", kMaxTimeout), describe_number(*find(name)));
  }

  void range(const char* name, int& low, int& high) {
    if (!status_.ok()) return;
    const json* value = find_present(name);
    if (value == nullptr) return;
    std::vector<int> both;
    if (!value->is_array() || !read_value(*value, both, {}).ok() || both.size() != 2 || both[0] > both[1]) {
      status_ = wrong(path_of(name), "[lowest, highest], two integers", describe_found(value));
      return;
    }
    low = both[0];
    high = both[1];
  }

  template <class Describe>
  void nested(const char* name, Describe describe) {
    if (!status_.ok()) return;
    const json* value = find_present(name);
    if (value == nullptr || !value->is_object()) return;  // `data` may be anything (JSON-RPC 2.0, 5.1)
    const std::string path = path_of(name);
    Reader inner(*value, path);
    describe(inner);
    status_ = inner.take_status();
  }

  Status take_status() { return std::move(status_); }

 private:
  const json* find(const char* name) const {
    const auto it = object_.find(name);
    return it == object_.end() ? nullptr : &*it;
  }
  const json* find_present(const char* name) const {
    const json* value = find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::string path_of(const char* name) const { return fmt::format("{}.{}", path_, name); }

  static const char* expected_of(const std::string&) { return "a string"; }
  static const char* expected_of(int) { return "an integer"; }
  static const char* expected_of(std::uint64_t) { return "a whole number"; }
  template <class T>
  static const char* expected_of(const std::vector<T>&) {
    return "an array";
  }
  template <class T>
  requires std::is_class_v<T>
  static const char* expected_of(const T&) { return "an object"; }

  const json& object_;
  const std::string& path_;
  Status status_;
};

template <class T>
Status read_value(const json& value, std::vector<T>& out, const std::string& path) {
  if (!value.is_array()) return wrong(path, "an array", describe_found(&value));
  out.clear();
  for (const json& element : value) {
    const std::string element_path = fmt::format("{}[{}]", path, out.size());
    if (Status status = read_value(element, out.emplace_back(), element_path); !status.ok()) return status;
  }
  return {};
}

template <class T>
Status read_value(const json& value, std::map<std::string, T>& out, const std::string& path) {
  if (!value.is_object()) return wrong(path, "an object", describe_found(&value));
  out.clear();
  for (const auto& [name, element] : value.items()) {
    if (Status status = read_value(element, out[name], path + "." + name); !status.ok()) return status;
  }
  return {};
}

template <class T>
requires std::is_class_v<T> Status read_value(const json& value, T& message, const std::string& path) {
  if (!value.is_object()) return wrong(path, "an object", describe_found(&value));
  Reader reader(value, path);
  fields(reader, message);
  return reader.take_status();
}

// --- writing ---

template <class T>
json write_value(const T& value);

class Writer {
 public:
  template <class T>
  using Of = const T;

  template <class T>
  void required(const char* name, const T& value) {
    object_[name] = write_value(value);
  }
  template <class T>
  void optional(const char* name, const T& value) {
    required(name, value);
  }
  template <class T>
  void optional(const char* name, const std::optional<T>& value) {
    if (value) required(name, *value);
  }
  // Room for insert_answers(): JSON never has the text of a secret.
  void secrets(const char* name, const std::vector<Secret>& values) {
    object_[name] = json::array();
    for (std::size_t i = 0; i < values.size(); ++i) object_[name].push_back("");
  }
  void timeout(const char* name, const std::optional<double>& value) { optional(name, value); }
  void range(const char* name, int low, int high) { object_[name] = json::array({low, high}); }
  template <class Describe>
  void nested(const char* name, Describe describe) {
    Writer inner;
    describe(inner);
    object_[name] = inner.take();
  }

  json take() { return std::move(object_); }

 private:
  json object_ = json::object();
};

template <class T>
json write_value(const T& value) {
  if constexpr (std::same_as<T, std::string> || std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (requires { typename T::mapped_type; }) {
    json object = json::object();
    for (const auto& [name, element] : value) object[name] = write_value(element);
    return object;
  } else if constexpr (requires { value.begin(); }) {
    json array = json::array();
    for (const auto& element : value) array.push_back(write_value(element));
    return array;
  } else {
    Writer writer;
    fields(writer, value);
    return writer.take();
  }
}

constexpr std::array kAllErrc = {Errc::kInvalid,     Errc::kNotFound,    Errc::kInUse,    Errc::kRefused,
                                 Errc::kUnreachable, Errc::kTimeout,     Errc::kAuth,     Errc::kNeedsPerson,
                                 Errc::kCancelled,   Errc::kHostKey,     Errc::kProtocol, Errc::kClosed,
                                 Errc::kReplaced,    Errc::kLimit,       Errc::kUnsupported, Errc::kInternal};

}  // namespace

template <class T>
Json encode(const T& message) {
  return Json(write_value(message));
}

template <class T>
Result<T> decode(const Json& value, std::string_view name) {
  static const json no_fields = json::object();
  const json& object = value.value().is_null() ? no_fields : value.value();
  T message;
  if (Status status = read_value(object, message, std::string(name)); !status.ok()) return status.error();
  return message;
}

#define JUMP_MESSAGE(T)              \
  template Json encode<T>(const T&); \
  template Result<T> decode<T>(const Json&, std::string_view)
JUMP_MESSAGE(HelloParams);
JUMP_MESSAGE(HelloResult);
JUMP_MESSAGE(UpResult);
JUMP_MESSAGE(SshConfigResult);
JUMP_MESSAGE(SavedState);
JUMP_MESSAGE(TargetStatus);
JUMP_MESSAGE(HostConnectParams);
JUMP_MESSAGE(HostConnectResult);
JUMP_MESSAGE(HostDisconnectParams);
JUMP_MESSAGE(HostStatus);
JUMP_MESSAGE(HostDiagnoseParams);
JUMP_MESSAGE(DiagnosisReport);
JUMP_MESSAGE(ForwardOpenParams);
JUMP_MESSAGE(ForwardOpenResult);
JUMP_MESSAGE(ForwardCloseParams);
JUMP_MESSAGE(ForwardCloseResult);
JUMP_MESSAGE(ForwardListResult);
JUMP_MESSAGE(ForwardStatus);
JUMP_MESSAGE(Interaction);
JUMP_MESSAGE(InteractionEnded);
JUMP_MESSAGE(Notice);
JUMP_MESSAGE(InteractionClaimParams);
JUMP_MESSAGE(InteractionRespondParams);
JUMP_MESSAGE(InteractionDeclineParams);
JUMP_MESSAGE(MuxOpenParams);
JUMP_MESSAGE(MuxOpenResult);
JUMP_MESSAGE(MuxListResult);
JUMP_MESSAGE(HandedMux);
JUMP_MESSAGE(HostOptionsParams);
JUMP_MESSAGE(HostOptionsResult);
JUMP_MESSAGE(HostWayParams);
JUMP_MESSAGE(HostWayResult);
JUMP_MESSAGE(RouteListResult);
JUMP_MESSAGE(SessionOpenParams);
JUMP_MESSAGE(SessionOpenResult);
JUMP_MESSAGE(SessionResizeParams);
JUMP_MESSAGE(SessionSignalParams);
JUMP_MESSAGE(SessionEnded);
JUMP_MESSAGE(StreamOpenParams);
JUMP_MESSAGE(StreamOpenResult);
JUMP_MESSAGE(StreamEnded);
JUMP_MESSAGE(SessionStatus);
JUMP_MESSAGE(InteractionStatus);
JUMP_MESSAGE(AgentReloadResult);
JUMP_MESSAGE(AgentStatus);
JUMP_MESSAGE(AgentShutdownParams);
JUMP_MESSAGE(AgentShutdownResult);
JUMP_MESSAGE(HandedForward);
JUMP_MESSAGE(AgentHandoverParams);
JUMP_MESSAGE(AgentHandoverResult);
JUMP_MESSAGE(AgentRetireResult);
JUMP_MESSAGE(StatusResult);
JUMP_MESSAGE(RpcError);
JUMP_MESSAGE(Empty);
JUMP_MESSAGE(EventsSubscribeParams);
JUMP_MESSAGE(EventsSnapshot);
JUMP_MESSAGE(EventsSubscribeResult);
JUMP_MESSAGE(Event);
JUMP_MESSAGE(EventsLagged);
#undef JUMP_MESSAGE

Errc errc_of_kind(std::string_view kind) {
  const auto* it =
      std::find_if(kAllErrc.begin(), kAllErrc.end(), [kind](Errc c) { return errc_name(c) == kind; });
  return it == kAllErrc.end() ? Errc::kRefused : *it;
}

RpcError to_rpc_error(const Error& error, int code) {
  return RpcError{code, error.message, std::string(errc_name(error.code)), error.hint};
}

Error to_error(const RpcError& error) { return Error{errc_of_kind(error.kind), error.message, error.hint}; }

Result<int> negotiate(const HelloParams& hello) {
  const int highest = std::min(hello.protocol_max, kProtocolMax);
  if (highest >= std::max(hello.protocol_min, kProtocolMin)) return highest;
  return Error{Errc::kUnsupported,
               fmt::format("no common protocol version: the client speaks {} to {}, this agent {} to {}",
                           hello.protocol_min, hello.protocol_max, kProtocolMin, kProtocolMax),
               hello.protocol_min > kProtocolMax ? "update jumpagent" : "update the client"};
}

}  // namespace jump::proto
