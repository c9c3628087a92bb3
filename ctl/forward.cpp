// jumpctl forward, reverse and socks: opens forwards, and says where they listen. Each SPEC, and each port of
// a range, is a request of its own: one that fails leaves the others open.
#include <fmt/core.h>

#include <set>

#include "ctl/hold.h"
#include "ctl/specs_here.h"
#include "ctl/verb.h"

namespace jump::ctl {
namespace {

using proto::ForwardKind;
using proto::ForwardSpec;

struct Wanted {
  std::string item;  // what it is called in messages
  ForwardSpec spec;
};

// Everything is understood before anything is opened.
Result<std::vector<Wanted>> understand(ForwardKind kind, const Options& options) {
  const std::string directory = working_directory();
  std::vector<Wanted> all;
  for (const std::string& text : options.arguments) {
    auto specs = specs_here(kind, text, directory);
    if (!specs.ok()) return specs.error();
    const bool range = specs->size() > 1;
    for (ForwardSpec& spec : *specs) {
      std::string item = range ? spec.to_string() : text;
      all.push_back({std::move(item), std::move(spec)});
    }
  }
  if (options.name.empty() || all.size() == 1) return all;
  return Error{Errc::kInvalid, fmt::format("a --name is for one forward, and these are {}", all.size()), {}};
}

std::vector<Call> calls_for(ForwardKind kind, const std::vector<Wanted>& all, const Options& options) {
  std::vector<Call> calls;
  proto::ForwardOpenParams params;
  params.kind = proto::forward_kind_name(kind);
  params.via = options.via;
  params.name = options.name;
  params.prewarm = options.prewarm;
  params.timeout = to_seconds(options.timeout_or(kLoginTimeout));
  params.hold = options.hold;
  params.persist = options.persist;
  for (const Wanted& each : all) {
    params.spec = each.spec.to_string();
    calls.push_back({each.item, proto::encode(params)});
  }
  return calls;
}

int open_all(ForwardKind kind, const Options& options) {
  const Result<std::vector<Wanted>> all = understand(kind, options);
  if (!all.ok()) return fail(options, all.error(), kExitUsage, proto::kInvalidParams);
  const std::vector<Call> calls = calls_for(kind, *all, options);
  const Duration timeout = options.timeout_or(kLoginTimeout) + kGrace;
  const auto& method = proto::method::kForwardOpen;
  std::set<std::string> open;  // their ids
  const Render render = render_with(method, [&open](const proto::ForwardOpenResult& result, Style) {
    open.insert(result.forward.id);
    return fmt::format("{}{}\n", format_forward(result.forward), result.existing ? ", was open already" : "");
  });
  if (!options.hold) return run_calls(options, method.name, calls, timeout, render, Login::kMaybe);

  Answerer answerer(!options.no_input);
  Result<Client> client = connect_client(options, &answerer);
  if (!client.ok()) return fail_unconnected(options, client.error());
  std::vector<proto::Json> params;
  for (const Call& call : calls) params.push_back(call.params);
  // What one agent holds for us ends when another is asked: all of it anew.
  std::vector<Outcome> outcomes = ask_heir_too(options, &answerer, &client, [&](Client& agent) {
    return agent.call_all(method.name, params, timeout);
  });
  answerer.end();
  const int opened = report(options, calls, std::move(outcomes), render);
  if (open.empty()) return opened;
  const int held = hold(options, *std::move(client), std::move(open));
  return held == kExitDone ? opened : held;
}

}  // namespace

int open_forwards(const Options& options) { return open_all(ForwardKind::kLocal, options); }
int open_reverse(const Options& options) { return open_all(ForwardKind::kRemote, options); }
int open_socks(const Options& options) { return open_all(ForwardKind::kDynamic, options); }

}  // namespace jump::ctl
