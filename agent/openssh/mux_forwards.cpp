#include "openssh/mux_forwards.h"

#include <algorithm>
#include <utility>

namespace jump {
namespace {

proto::ForwardEnd end_of(const MuxEnd& end) {
  if (end.is_unix()) return {{}, 0, end.name};
  return {end.name, static_cast<std::uint16_t>(end.port), {}};
}

}  // namespace

Result<ForwardRequest> MuxForwards::request_of(const MuxForward& wanted) const {
  proto::ForwardSpec spec;
  spec.listen = end_of(wanted.listen);
  spec.kind = wanted.kind == MuxForwardKind::kLocal    ? ForwardKind::kLocal
              : wanted.kind == MuxForwardKind::kRemote ? ForwardKind::kRemote
                                                       : ForwardKind::kDynamic;
  if (wanted.is_remote_socks()) spec.kind = ForwardKind::kRemoteDynamic;
  const bool dynamic = spec.kind == ForwardKind::kDynamic || spec.kind == ForwardKind::kRemoteDynamic;
  if (!dynamic) spec.target = end_of(wanted.connect);
  const ForwardKind asked = spec.kind == ForwardKind::kRemoteDynamic ? ForwardKind::kRemote : spec.kind;
  Result<ForwardRequest> request = ForwardRequest::parse(asked, spec.to_string());
  if (!request) return request;
  request->via = host_;
  request->timeout = services_.login_wait();
  return request;
}

std::unique_ptr<Operation> MuxForwards::open(const MuxForward& wanted, Opened done) {
  if (Status may = services_.may_change(); !may) {
    done(may.error());
    return nullptr;
  }
  Result<ForwardRequest> request = request_of(wanted);
  if (!request) {
    done(request.error());
    return nullptr;
  }
  return services_.forwards.open(
      *request, Lifetime::kUntilClosed,
      [this, any_port = request->any_port(), done = std::move(done)](const Result<Forwards::Opened>& opened) {
        if (!opened) return done(opened.error());
        const Forward& forward = *opened->wanted->forward;
        ids_.insert(forward.id());
        if (!any_port || !forward.request().listens_there()) return done(std::optional<std::uint16_t>());
        done(std::optional(forward.listening().port));
      });
}

Status MuxForwards::cancel(const MuxForward& wanted) {
  Result<ForwardRequest> request = request_of(wanted);
  if (!request) return request.error();
  for (const WantedForward& each : services_.forwards.all()) {
    const ForwardRequest& there = each.forward->request();
    if (each.leaving || there.kind != request->kind || there.target != request->target) continue;
    if (each.forward->host().name() != host_) continue;
    // A port that was chosen is named, or asked for as it was: any.
    const bool same =
        there.listen == request->listen || (there.any_port() && there.listen.host == request->listen.host &&
                                            each.forward->listening().port == request->listen.port);
    if (!same) continue;
    ids_.erase(each.id());
    services_.forwards.let_go(&each);
    return {};
  }
  return Error{Errc::kNotFound, "port not forwarded", {}};
}

void MuxForwards::cancel_all() {
  for (const std::string& id : std::exchange(ids_, {})) {
    Result<const WantedForward*> wanted = services_.forwards.find(id);
    if (wanted && !(*wanted)->leaving) services_.forwards.close(*wanted);
  }
}

bool MuxForwards::others_want(const Host& host) const {
  const auto& all = services_.forwards.all();
  return std::any_of(all.begin(), all.end(), [&](const WantedForward& each) {
    return &each.forward->host() == &host && !ids_.contains(each.id()) && !each.leaving;
  });
}

}  // namespace jump
