// Mux fed with whatever a server may say: packets cut from the input (length byte, then bytes), while
// channels open, write, stall and go. Nothing it says may crash us or make us hold more than was granted.
#include <cstdint>
#include <memory>
#include <vector>

#include "base/log.h"
#include "channel/mux.h"

namespace {

using namespace jump;  // NOLINT: short program

struct Sink final : PacketSink {
  bool send_packet(ByteView, ByteView) override { return true; }
  bool has_room() const override { return true; }
  void wake() override {}
};

struct Owner final : StreamHandler {
  std::size_t on_data(ByteView data) override { return data.size() / 2; }
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error*) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::set_level(log::Level::kOff);
  Sink sink;
  WindowBudget budget;
  Mux mux(&sink, &budget, TimePoint());
  std::vector<std::unique_ptr<Owner>> owners;
  std::vector<std::unique_ptr<Channel>> channels;
  ByteView in(data, size);
  while (!in.empty() && !mux.error()) {
    std::uint8_t command = in[0];
    in = in.subspan(1);
    switch (command % 8) {
      case 0: {
        if (channels.size() > 8) break;
        owners.push_back(std::make_unique<Owner>());
        auto opened =
            mux.open(ChannelOpen::direct_tcpip("h", 1, "", 0), TimePoint() + seconds(command), nullptr);
        (*opened)->set_handler(owners.back().get());
        channels.push_back(*std::move(opened));
        break;
      }
      case 1:
        if (!channels.empty())
          channels[command % channels.size()]->write(in.first(std::min<std::size_t>(in.size(), command)));
        break;
      case 2:
        if (!channels.empty()) channels[command % channels.size()]->shutdown_write();
        break;
      case 3:
        if (!channels.empty()) channels[command % channels.size()]->resume_reading();
        break;
      case 4:
        mux.tick(TimePoint() + seconds(command));
        break;
      default: {
        std::size_t length = std::min<std::size_t>(in.size(), command / 8u);
        mux.handle_packet(in.first(length), TimePoint() + milliseconds(command));
        in = in.subspan(length);
      }
    }
    mux.pump(TimePoint() + seconds(command));
    if (mux.counters().held_in > channels.size() * WindowBudget::kWindowMax) __builtin_trap();
  }
  if (size % 2) mux.fail(Error{Errc::kClosed, "end", {}});
  return 0;
}
