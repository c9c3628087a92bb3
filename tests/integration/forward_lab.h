// What the tests of forwards share: a client of the control socket that stays, SOCKS5 spoken by hand, and
// transfers that account for every byte.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "support/agent_process.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/pattern.h"
#include "support/socket.h"

namespace jump::test {

inline bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// One connection to the agent; forwards that it holds go with it.
class ControlClient {
 public:
  explicit ControlClient(const AgentProcess& agent) : socket_(Socket::connect_unix(agent.socket_path())) {
    EXPECT_TRUE(socket_.has_value()) << "the agent does not answer";
  }

  void send(const std::string& method, const nlohmann::json& params) {
    const nlohmann::json line = {
        {"jsonrpc", "2.0"}, {"id", ++last_id_}, {"method", method}, {"params", params}};
    EXPECT_TRUE(socket_ && socket_->send_all(std::string_view(line.dump() + "\n")));
  }
  // The next line that the agent sends; null at the deadline.
  nlohmann::json receive(Duration deadline = seconds(60)) {
    const auto line = socket_ ? socket_->receive_line(deadline) : std::nullopt;
    return line ? nlohmann::json::parse(*line) : nlohmann::json();
  }
  // Result or error, as it came.
  nlohmann::json ask(const std::string& method, const nlohmann::json& params) {
    send(method, params);
    return receive();
  }
  // The result; else the test has failed.
  nlohmann::json call(const std::string& method, const nlohmann::json& params) {
    const nlohmann::json answer = ask(method, params);
    if (answer.contains("result")) return answer.at("result");
    ADD_FAILURE() << method << " " << params << ": " << answer;
    return nlohmann::json::object();
  }
  // The error's message and hint; else the test has failed.
  std::string failure(const std::string& method, const nlohmann::json& params) {
    const nlohmann::json answer = ask(method, params);
    if (!answer.contains("error")) {
      ADD_FAILURE() << method << " " << params << " was done: " << answer;
      return {};
    }
    const nlohmann::json& error = answer.at("error");
    return error.value("message", "") + " | " +
           error.value("data", nlohmann::json::object()).value("hint", "");
  }
  // forward.open by way of the bastion: the forward's status.
  nlohmann::json open(const std::string& kind, const std::string& spec,
                      const nlohmann::json& more = nlohmann::json::object()) {
    return call("forward.open", open_params(kind, spec, more)).value("forward", nlohmann::json::object());
  }
  std::string open_failure(const std::string& kind, const std::string& spec,
                           const nlohmann::json& more = nlohmann::json::object()) {
    return failure("forward.open", open_params(kind, spec, more));
  }
  void close(const std::string& forward) { call("forward.close", {{"forward", forward}}); }
  nlohmann::json list() { return call("forward.list", nlohmann::json::object()).at("forwards"); }

  static nlohmann::json open_params(const std::string& kind, const std::string& spec,
                                    const nlohmann::json& more) {
    nlohmann::json params = {{"kind", kind}, {"spec", spec}, {"via", Lab::kBastion}};
    params.update(more);
    return params;
  }
  // It goes, as when its process was killed.
  void leave() { socket_.reset(); }

 private:
  std::optional<Socket> socket_;
  int last_id_ = 0;
};

// --- SOCKS5, as a client says it (RFC 1928) ---

inline Bytes socks5_request(const std::string& name, std::uint16_t port) {
  Bytes request = {5, 1, 0, 5, 1, 0, 3, static_cast<std::uint8_t>(name.size())};
  request.insert(request.end(), name.begin(), name.end());
  request.push_back(static_cast<std::uint8_t>(port >> 8));
  request.push_back(static_cast<std::uint8_t>(port & 0xff));
  return request;
}

// The server's code: 0 is success, and then the socket leads to the target. -1: no answer, or no SOCKS.
inline int socks5_connect(Socket& socket, const std::string& name, std::uint16_t port,
                          Duration deadline = seconds(30)) {
  if (!socket.send_all(socks5_request(name, port))) return -1;
  const Received method = socket.receive_exactly(2, deadline);
  if (method.bytes != Bytes({5, 0})) return -1;
  const Received reply = socket.receive_exactly(10, deadline);
  return reply.bytes.size() == 10 && reply.bytes[0] == 5 ? reply.bytes[1] : -1;
}

// --- transfers ---

inline bool send_pattern_to(Socket& socket, std::uint64_t seed, std::size_t size) {
  Pattern pattern(seed);
  Bytes piece;
  for (std::size_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min<std::size_t>(256 * 1024, size - done));
    pattern.fill(piece);
    if (!socket.send_all(piece)) return false;
  }
  return true;
}

// "SIZE SHA256 eof", or how else it ended.
inline std::string digest_of(Socket& socket, Duration deadline = seconds(240)) {
  const TimePoint end = Clock::now() + deadline;
  Sha256 hash;
  Bytes buffer(256 * 1024);
  std::size_t size = 0;
  for (;;) {
    std::size_t got = 0;
    const StreamEnd state = socket.receive_some(buffer, &got, end - Clock::now());
    if (state == StreamEnd::kOpen) {
      hash.update(ByteView(buffer).first(got));
      size += got;
      continue;
    }
    const char* how = state == StreamEnd::kEof ? "eof" : state == StreamEnd::kReset ? "reset" : "timeout";
    return std::to_string(size) + " " + hash.hex() + " " + how;
  }
}
inline std::string digest_of_pattern(std::uint64_t seed, std::size_t size) {
  return std::to_string(size) + " " + pattern_sha256(seed, size) + " eof";
}

// What an echo gives back for `text`; empty when nobody is there.
inline std::string echoed(std::optional<Socket> socket, const std::string& text) {
  if (!socket || !socket->send_all(std::string_view(text))) return {};
  return std::string(socket->receive_exactly(text.size(), seconds(60)).text());
}

}  // namespace jump::test
