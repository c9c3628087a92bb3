// jumpctl close ID|NAME|SPEC… or --all: asks which forwards there are, and closes those that are meant.
#include <fmt/core.h>

#include "ctl/forward_choice.h"
#include "ctl/output.h"
#include "ctl/specs_here.h"
#include "ctl/verb.h"

namespace jump::ctl {
namespace {

std::vector<ForwardChoice> every_one(const std::vector<proto::ForwardStatus>& forwards) {
  std::vector<ForwardChoice> all;
  for (const proto::ForwardStatus& each : forwards) all.push_back({each.id, each.id});
  return all;
}

// In the order of the choices: closed, or why not. A forward keeps its id when an agent is replaced.
std::vector<Outcome> close_chosen(const Options& options, Result<Client>* client,
                                  const std::vector<ForwardChoice>& choices, Duration timeout) {
  std::vector<proto::Json> params;
  for (const ForwardChoice& choice : choices) {
    if (choice.id.ok()) params.push_back(proto::encode(proto::ForwardCloseParams{*choice.id}));
  }
  std::vector<Outcome> closed =
      call_all_heir_too(options, nullptr, client, proto::method::kForwardClose.name, params, timeout);
  std::vector<Outcome> outcomes;
  auto next = closed.begin();
  for (const ForwardChoice& choice : choices) {
    outcomes.push_back(choice.id.ok() ? std::move(*next++)
                                      : Outcome{{}, proto::to_rpc_error(choice.id.error())});
  }
  return outcomes;
}

}  // namespace

int close_forwards(const Options& options) {
  const Duration timeout = options.timeout_or(kDefaultTimeout);
  Result<Client> client = connect_client(options);
  if (!client.ok()) return fail_unconnected(options, client.error());
  const auto list = client->call(proto::method::kForwardList, {}, timeout);
  if (!list.ok()) return fail(options, list.error(), kExitFailed);
  const std::vector<ForwardChoice> choices =
      options.all ? every_one(list->forwards)
                  : choose_forwards(list->forwards, options.arguments, working_directory());
  std::vector<Call> calls;
  for (const ForwardChoice& choice : choices) calls.push_back({choice.item, {}});

  std::size_t closed = 0;
  const auto text = [&closed](const proto::ForwardCloseResult& result, Style) {
    ++closed;
    proto::ForwardStatus forward = result.forward;
    forward.state = "closed";  // whatever it was in before
    forward.error.clear();
    return format_forward(forward) + "\n";
  };
  const int exit_code = report(options, calls, close_chosen(options, &client, choices, timeout),
                               render_with(proto::method::kForwardClose, text), !options.all);
  if (!options.all || options.json) return exit_code;
  write_out(closed == 0 ? "no forwards\n"
                        : fmt::format("{} forward{} closed\n", closed, closed == 1 ? "" : "s"));
  return finish_output(options, exit_code);
}

}  // namespace jump::ctl
