// Mux fed with whatever a server may say: packets cut from the input (length byte, then bytes), while
// channels open, write, stall and go, listeners are asked for and withdrawn, and what the server opens is
// accepted, refused or let go of, at once or late; and so with raw channels. Nothing it says may crash us or
// make us hold more than was granted.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/log.h"
#include "channel/messages.h"
#include "channel/mux.h"
#include "channel/remote_listeners.h"

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

// Of one raw channel. It may let go of it from inside a call, as it may.
struct RawOwner final : RawChannelHandler {
  std::unique_ptr<RawChannel> channel;
  bool over = false;

  void on_raw_packet(std::uint8_t type, ByteView rest) override {
    if (over) __builtin_trap();
    over = type == ssh::kChannelOpenFailure;
    if (rest.size() % 5 == 4) let_go();
  }
  void on_raw_room() override {}
  void on_raw_lost(const Error&) override { let_go(); }
  void let_go() {
    over = true;
    channel.reset();
  }
};

// Channels that the server asks for wait here for a command; beyond these they are let go of at once.
struct Waiting {
  std::vector<IncomingChannel> channels;

  void take(IncomingChannel incoming) {
    (void)incoming.request().describe();
    if (channels.size() < 8) channels.push_back(std::move(incoming));
  }
  IncomingChannel pick(unsigned choice) {
    auto at = channels.begin() + static_cast<std::ptrdiff_t>(choice % channels.size());
    IncomingChannel out = std::move(*at);
    channels.erase(at);
    return out;
  }
};

struct Listening final : RemoteListenHandler {
  Waiting* waiting = nullptr;
  std::unique_ptr<RemoteListener> listener;
  bool answered = false, up = false;

  void on_listening(Result<std::uint16_t> port) override {
    if (answered) __builtin_trap();
    answered = true;
    up = port.ok();
  }
  void on_incoming(IncomingChannel incoming) override {
    if (!up) __builtin_trap();
    waiting->take(std::move(incoming));
  }
  void on_lost(const Error&) override {
    if (!up) __builtin_trap();
    listener.reset();
  }
};

RemoteListen place(unsigned choice) {
  const RemoteListen places[] = {RemoteListen::tcp("localhost", 0), RemoteListen::tcp("*", 80),
                                 RemoteListen::unix_socket("/s"), RemoteListen::tcp("h", 80)};
  return places[choice % 4];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::set_level(log::Level::kOff);
  Sink sink;
  WindowBudget budget;
  Waiting waiting;  // outlives the Mux, as it may
  auto kept = std::make_unique<Mux>(&sink, &budget, TimePoint());
  Mux& mux = *kept;
  mux.set_peer_open_handler("x11", [&](IncomingChannel each) { waiting.take(std::move(each)); });
  std::vector<std::unique_ptr<Owner>> owners;
  std::vector<std::unique_ptr<Channel>> channels;
  std::vector<std::unique_ptr<Listening>> listening;
  std::vector<std::unique_ptr<RawOwner>> raw;
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
      case 4: {
        if (command < 64) {
          mux.tick(TimePoint() + seconds(command));
        } else if (command < 128 && raw.size() < 8) {
          raw.push_back(std::make_unique<RawOwner>());
          bool takes = !waiting.channels.empty();
          auto made = takes ? waiting.pick(command).accept_raw({command, 64}, {}, raw.back().get())
                            : mux.open_raw("session", {command, 64}, {}, raw.back().get());
          raw.back()->channel = *std::move(made);
        } else if (!raw.empty()) {
          RawOwner& owner = *raw[command / 8u % raw.size()];
          auto type = static_cast<std::uint8_t>(ssh::kChannelWindowAdjust + command / 8u % 8u);
          if (owner.channel && command < 224)
            owner.channel->send(type, in.first(std::min<std::size_t>(in.size(), 9)));
          if (command >= 224) owner.let_go();
        }
        break;
      }
      case 6: {  // listeners, and answers to what the server asks for
        unsigned choice = command / 32u;
        bool none = command / 8 % 4 == 1 ? listening.empty() : waiting.channels.empty();
        if (command / 8 % 4 == 0) {
          auto handler = std::make_unique<Listening>();
          handler->waiting = &waiting;
          auto made = mux.remote_listeners().listen(place(choice), handler.get());
          if (!made) break;
          handler->listener = *std::move(made);
          listening.push_back(std::move(handler));
        } else if (none) {
          break;
        } else if (command / 8 % 4 == 1) {
          listening.erase(listening.begin() + static_cast<std::ptrdiff_t>(choice % listening.size()));
        } else if (command / 8 % 4 == 2) {
          owners.push_back(std::make_unique<Owner>());
          auto accepted = waiting.pick(choice).accept(nullptr);
          if (!accepted) __builtin_trap();
          (*accepted)->set_handler(owners.back().get());
          channels.push_back(*std::move(accepted));
        } else {
          IncomingChannel unwanted = waiting.pick(choice);
          if (choice % 2) unwanted.refuse(ssh::kOpenConnectFailed, "no");
        }
        break;
      }
      default: {
        std::size_t length = command / 8u + (command % 8 == 7 ? 32u : 0u);
        length = std::min(in.size(), length);
        mux.handle_packet(in.first(length), TimePoint() + milliseconds(command));
        in = in.subspan(length);
      }
    }
    mux.pump(TimePoint() + seconds(command));
    if (mux.pending_peer_opens() != waiting.channels.size()) __builtin_trap();
    if (mux.counters().held_in > channels.size() * WindowBudget::kWindowMax) __builtin_trap();
  }
  if (size % 2) mux.fail(Error{Errc::kClosed, "end", {}});
  if (size % 3) kept.reset();
  for (IncomingChannel& each : waiting.channels) {
    if (each.is_open() != (size % 6 == 0)) __builtin_trap();
    (void)each.accept(nullptr);
  }
  return 0;
}
