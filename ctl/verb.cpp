#include "ctl/verb.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "ctl/output.h"
#include "proto/socket_path.h"

namespace jump::ctl {
namespace {

using nlohmann::json;

json error_document(const proto::RpcError& error) {
  return {{"error",
           {{"code", error.code}, {"kind", error.kind}, {"message", error.message}, {"hint", error.hint}}}};
}

void print_json(const proto::Json& document) {
  write_out((::isatty(STDOUT_FILENO) == 1 ? document.pretty() : document.dump()) + "\n");
}

// Names the item where several were asked for and the message does not.
void print_error(const Options& options, const proto::RpcError& error, const std::string& item) {
  const bool named = item.empty() || error.message.find(item) != std::string::npos;
  const std::string prefix = named ? std::string() : sanitized(item) + ": ";
  write_err(fmt::format("{}: {}{}\n", options.program, prefix, format_error(error)));
}

// Makes a result that nobody can read into an error, and the others into text.
std::vector<std::string> render_all(std::vector<Outcome>& outcomes, const Render& render) {
  const Style style = style_of(STDOUT_FILENO);
  std::vector<std::string> texts(outcomes.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].error) continue;
    Result<std::string> text = render(outcomes[i].result, style);
    if (text.ok()) {
      texts[i] = *std::move(text);
    } else {
      outcomes[i].error = proto::to_rpc_error(text.error());
    }
  }
  return texts;
}

json document_of(const std::vector<Outcome>& outcomes, bool one_document) {
  json all = json::array();
  for (const Outcome& each : outcomes)
    all.push_back(each.error ? error_document(*each.error) : each.result.value());
  return one_document && outcomes.size() == 1 ? all.front() : all;
}

bool replaced(const Outcome& outcome) {
  return outcome.error && outcome.error->kind == errc_name(Errc::kReplaced);
}

}  // namespace

Result<Client> connect_client(const Options& options, Answerer* answerer) {
  Result<std::string> path = proto::control_socket_path(options.socket);
  if (!path.ok()) return path.error();
  return Client::connect({.socket = *path,
                          .name = fmt::format("{} {}", options.program, JUMPAGENT_VERSION),
                          .timeout = options.timeout_or(kDefaultTimeout),
                          .answerer = answerer});
}

int fail(const Options& options, const Error& error, int exit_code, int rpc_code) {
  const proto::RpcError rpc_error = proto::to_rpc_error(error, rpc_code);
  print_error(options, rpc_error, {});
  if (options.json) print_json(proto::Json(error_document(rpc_error)));
  return finish_output(options, exit_code);
}

int fail_lines(const Options& options, const Error& error, int exit_code) {
  const proto::RpcError rpc_error = proto::to_rpc_error(error);
  std::string_view rest = error.message;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const bool last = end == rest.size();
    print_error(options,
                {rpc_error.code, std::string(rest.substr(0, end)), rpc_error.kind, last ? error.hint : ""},
                {});
    rest.remove_prefix(last ? end : end + 1);
  }
  if (options.json) print_json(proto::Json(error_document(rpc_error)));
  return finish_output(options, exit_code);
}

int finish_output(const Options& options, int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  write_err(fmt::format("{}: cannot write to standard output\n", options.program));
  return kExitFailed;
}

int fail_unconnected(const Options& options, const Error& error) {
  return fail(options, error, error.code == Errc::kUnreachable ? kExitNoAgent : kExitFailed);
}

bool is_replaced(const std::vector<Outcome>& outcomes) {
  return std::any_of(outcomes.begin(), outcomes.end(), replaced);
}

std::vector<Outcome> call_all_heir_too(const Options& options, Answerer* answerer, Result<Client>* client,
                                       std::string_view method, const std::vector<proto::Json>& params,
                                       Duration timeout) {
  std::vector<Outcome> outcomes;
  return ask_heir_too(options, answerer, client, [&](Client& agent) {
    if (outcomes.empty()) return outcomes = agent.call_all(method, params, timeout);
    std::vector<proto::Json> left;
    for (std::size_t i = 0; i < params.size(); ++i) {
      if (replaced(outcomes[i])) left.push_back(params[i]);
    }
    std::vector<Outcome> again = agent.call_all(method, left, timeout);
    auto next = again.begin();
    for (Outcome& each : outcomes) {
      if (replaced(each)) each = std::move(*next++);
    }
    return outcomes;
  });
}

int run_calls(const Options& options, std::string_view method, const std::vector<Call>& calls,
              Duration timeout, const Render& render, Login login) {
  Answerer answerer(login == Login::kMaybe && !options.no_input);
  Result<Client> client = connect_client(options, &answerer);
  if (!client.ok()) return fail_unconnected(options, client.error());
  std::vector<proto::Json> params;
  for (const Call& call : calls) params.push_back(call.params);
  std::vector<Outcome> outcomes = call_all_heir_too(options, &answerer, &client, method, params, timeout);
  answerer.end();
  return report(options, calls, std::move(outcomes), render);
}

int report(const Options& options, const std::vector<Call>& calls, std::vector<Outcome> outcomes,
           const Render& render, bool one_document) {
  const std::vector<std::string> texts = render_all(outcomes, render);
  int exit_code = kExitDone;
  if (options.json) print_json(proto::Json(document_of(outcomes, one_document)));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].error) {
      print_error(options, *outcomes[i].error, calls.size() > 1 ? calls[i].item : std::string());
      exit_code = kExitFailed;
    } else if (!options.json) {
      write_out(texts[i]);
    }
  }
  return finish_output(options, exit_code);
}

}  // namespace jump::ctl
