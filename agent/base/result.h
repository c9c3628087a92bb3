// Errors as values. A `Result<T>` is a T or an `Error`; an `Error` is one of few codes, which programs act
// on, and a chain of context that reads well to a person ("bastion prod (10.0.0.5:22): authentication failed:
// …").
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace jump {

// What a caller may want to do differently. The names are also the `kind` of a control-protocol error.
enum class Errc {
  kInvalid,      // the request makes no sense: bad syntax, bad value
  kNotFound,     // the named thing does not exist
  kInUse,        // somebody else holds it (a port, a socket)
  kRefused,      // the other side said no
  kUnreachable,  // no way there: DNS, routing, connection refused
  kTimeout,      // a deadline passed
  kAuth,         // login failed
  kNeedsPerson,  // a question waits for an answer, and nobody is there to give it
  kCancelled,    // the person who was asked declined
  kHostKey,      // the server's key is unknown, changed or revoked
  kProtocol,     // the peer does not speak the protocol
  kClosed,       // it ended meanwhile
  kReplaced,     // another agent takes this one's place: connect again, and ask that one
  kLimit,        // one of our own stated bounds
  kUnsupported,  // we cannot do that (yet)
  kInternal,     // a bug of ours, or the machine is out of something
};

// "invalid", "not_found", …: stable, part of the control protocol.
std::string_view errc_name(Errc code);

struct Error {
  Errc code = Errc::kInternal;
  std::string message;  // for a person; no trailing period, no secrets
  std::string hint;     // the way out, when there is one we know ("run: jumpagent up")

  // The same error, said from one level further out: "PREFIX: MESSAGE".
  Error context(std::string_view prefix) const {
    return Error{code, std::string(prefix) + ": " + message, hint};
  }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    assert(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    assert(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    assert(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    assert(!ok());
    return std::get<1>(state_);
  }
  Error&& error() && {
    assert(!ok());
    return std::get<1>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    assert(!ok());
    return *error_;
  }
  Error&& error() && {
    assert(!ok());
    return *std::move(error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace jump
