#include "doctor/channel_probe.h"

#include <utility>

namespace jump {

ChannelProbe::ChannelProbe(Io& io, Mux& mux, const ChannelOpen& request, Duration timeout, Done done)
    : tell_soon_(io.deferred([this] { tell(); })), done_(std::move(done)) {
  Result<std::unique_ptr<Channel>> channel = mux.open(request, io.now() + timeout, this);
  if (!channel) {
    error_ = channel.error();
    tell_soon_->schedule();
    return;
  }
  channel_ = *std::move(channel);
  channel_->set_handler(this);
}

ChannelProbe::~ChannelProbe() = default;

void ChannelProbe::on_opened() { tell_soon_->schedule(); }

void ChannelProbe::on_closed(const Error* error) {
  error_ = error ? *error : Error{Errc::kClosed, "the server closed the channel at once", {}};
  tell_soon_->schedule();
}

void ChannelProbe::tell() {
  if (!done_) return;
  Done done = std::exchange(done_, nullptr);
  if (error_) return done(*error_);
  channel_->forget_owner();
  done(std::unique_ptr<ByteStream>(std::move(channel_)));
}

bool forbids_forwarding(const Error& error) {
  // Mux's words for that reason; the code alone stands for other refusals too.
  return error.code == Errc::kRefused &&
         (error.message.find("the server forbids it") != std::string::npos ||
          error.message.find("the server does not know this kind of channel") != std::string::npos);
}

}  // namespace jump
