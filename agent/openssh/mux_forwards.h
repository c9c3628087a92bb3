// MuxForwards: the forwards that clients of one multiplexing socket have asked for. They are ordinary wanted
// forwards (they are listed, and survive a reconnect); what is kept here is which of them go with `-O cancel`
// and `-O exit`.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "openssh/mux_messages.h"
#include "openssh/mux_services.h"

namespace jump {

class MuxForwards {
 public:
  MuxForwards(const MuxServices& services, std::string host) : services_(services), host_(std::move(host)) {}

  // `done` hears of the port that the server has chosen, where it was to choose one. It may be called at
  // once.
  using Opened = std::function<void(Result<std::optional<std::uint16_t>>)>;
  std::unique_ptr<Operation> open(const MuxForward& wanted, Opened done);
  // It listens no longer; its connections go on. Errors: kNotFound.
  Status cancel(const MuxForward& wanted);
  void cancel_all();

  // Somebody else's forwards over the same host.
  bool others_want(const Host& host) const;

 private:
  Result<ForwardRequest> request_of(const MuxForward& wanted) const;

  const MuxServices& services_;
  const std::string host_;
  std::set<std::string> ids_;
};

}  // namespace jump
