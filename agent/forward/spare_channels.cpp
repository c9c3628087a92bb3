#include "forward/spare_channels.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace jump {

class SpareChannels::Spare final : private ChannelEvents, private StreamHandler {
 public:
  explicit Spare(SpareChannels& owner) : owner_(owner) {}

  Status open(Mux& mux) {
    auto channel = mux.open(owner_.request_, owner_.io_.now() + owner_.open_timeout_, this);
    if (!channel) return channel.error();
    channel_ = *std::move(channel);
    channel_->set_handler(this);
    mux_ = &mux;
    return {};
  }

  bool ready() const { return ready_; }
  bool is_on(const Mux& mux) const { return mux_ == &mux; }
  std::unique_ptr<Channel> release() {
    channel_->forget_owner();
    return std::move(channel_);
  }

  std::list<std::shared_ptr<Spare>>::iterator place;

 private:
  void on_opened() override { ready_ = true; }
  void on_peer_ended() override {
    channel_->forget_owner();  // nothing more of it is news
    owner_.drop(*this, owner_.gap_);
  }
  std::size_t on_data(ByteView) override { return 0; }  // kept for whoever takes it
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error* error) override {
    if (error) log::debug("spare channel to {}: {}", owner_.request_.describe, error->message);
    if (error && !ready_ && owner_.host_.mux()) owner_.refused_(*error);
    owner_.drop(*this, ready_ ? owner_.gap_ : std::max(owner_.gap_, kRetryGap));
  }

  SpareChannels& owner_;
  std::unique_ptr<Channel> channel_;
  const Mux* mux_ = nullptr;  // it has the channel as long as this is here
  bool ready_ = false;
};

SpareChannels::SpareChannels(Io& io, Host& host, ChannelOpen request, std::size_t wanted,
                             Duration open_timeout, Refused refused)
    : io_(io),
      host_(host),
      request_(std::move(request)),
      wanted_(std::min(wanted, kMax)),
      open_timeout_(open_timeout),
      refused_(std::move(refused)) {
  refill_timer_ = io_.timer([this] {
    gap_ = std::min(2 * gap_, kReplaceGapMax);
    refill();
  });
}

SpareChannels::~SpareChannels() = default;

void SpareChannels::refill() {
  while (spares_.size() < wanted_) {
    Mux* mux = host_.mux();
    if (!mux) return;
    // Not on one that is there for as long as the first is in doubt.
    if (host_.lasting_mux() != host_.first_mux()) return refill_timer_->start(kRetryGap);
    auto spare = std::make_shared<Spare>(*this);
    if (!spare->open(*mux)) return;
    spare->place = spares_.insert(spares_.end(), spare);
  }
}

std::unique_ptr<Channel> SpareChannels::take(const Mux& serving) {
  const bool any = host_.lasting_mux() == host_.first_mux();
  auto found = std::find_if(spares_.begin(), spares_.end(), [&](const auto& spare) {
    return spare->ready() && (any || spare->is_on(serving));
  });
  if (found == spares_.end()) {
    refill();
    return nullptr;
  }
  gap_ = kReplaceGap;
  std::unique_ptr<Channel> channel = (*found)->release();
  spares_.erase(found);
  refill();
  return channel;
}

std::size_t SpareChannels::ready() const {
  return static_cast<std::size_t>(
      std::count_if(spares_.begin(), spares_.end(), [](const auto& spare) { return spare->ready(); }));
}

void SpareChannels::drop(Spare& spare, Duration retry_after) {
  std::shared_ptr<Spare> last = std::move(*spare.place);
  spares_.erase(spare.place);
  io_.dispose(std::move(last));  // its channel is calling
  refill_timer_->start(retry_after);
}

}  // namespace jump
