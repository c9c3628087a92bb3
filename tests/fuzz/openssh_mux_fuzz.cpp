// The server's side of OpenSSH's multiplexing protocol, fed with whatever a client may send: bytes and
// descriptors cut anywhere, answers of every kind, the end of what runs; in the proxy mode also what a server
// may say. Nothing may crash us, grow beyond its bound, or reach upstream that is not the client's.
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "base/log.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "openssh/mux_client.h"
#include "openssh/proxy_translator.h"

namespace {

using namespace jump;  // NOLINT: short program

void require(bool holds) {
  if (!holds) __builtin_trap();
}

struct Upstream final : ProxyUpstream {
  std::set<Channel> live;
  std::vector<Ticket> tickets;
  bool room = true;

  void open(Channel channel, std::string_view, ProxyGrant grant, ByteView) override {
    require(live.insert(channel).second && grant.max_packet <= ProxyTranslator::kMaxData);
  }
  void accept(Channel channel, ProxyGrant, ByteView) override { require(live.contains(channel)); }
  void refuse(Channel channel, std::uint32_t, std::string_view) override {
    require(live.erase(channel) == 1);
  }
  void send(Channel channel, std::uint8_t type, ByteView) override {
    require(live.contains(channel) && type >= ssh::kChannelWindowAdjust && type <= ssh::kChannelFailure);
  }
  void release(Channel channel) override { require(live.erase(channel) == 1); }
  void listen(Ticket ticket, const ProxyListen&) override { tickets.push_back(ticket); }
  void cancel(Ticket ticket, const ProxyListen&) override { tickets.push_back(ticket); }
  void ping(Ticket ticket) override { tickets.push_back(ticket); }
  bool has_room() const override { return room; }
};

ByteView cut(ByteView& in, std::size_t size) {
  ByteView out = in.first(std::min(size, in.size()));
  in = in.subspan(out.size());
  return out;
}

// A command byte, then what it needs; most bytes are the client's.
void run_proxy(ByteView in) {
  Upstream upstream;
  ProxyTranslator proxy(&upstream);
  while (!in.empty() && !proxy.finished()) {
    std::uint8_t command = cut(in, 1)[0];
    ProxyUpstream::Channel channel = command >> 4 & 3u;
    switch (command % 8) {
      case 0: {  // the server's packet, of the client's bytes
        std::uint8_t type = static_cast<std::uint8_t>(ssh::kChannelOpenConfirmation + command / 8 % 10);
        if (upstream.live.contains(channel)) proxy.on_packet(channel, type, cut(in, command / 4u));
        break;
      }
      case 1:
        if (upstream.live.contains(channel)) {
          proxy.on_packet(channel, ssh::kChannelOpenConfirmation, WireWriter().u32(command).u32(64).take());
        }
        break;
      case 2:
        if (auto offered = proxy.offer("x11", {command, 64}, cut(in, command / 8u))) {
          require(upstream.live.insert(*offered).second);
        }
        break;
      case 3:
        for (auto ticket : upstream.tickets) proxy.on_answer(ticket, command & 8, {});
        upstream.tickets.clear();
        proxy.resume();
        break;
      case 4:
        upstream.room = command & 8;
        proxy.resume();
        break;
      default:
        proxy.feed(cut(in, command / 8u));
    }
    require(proxy.channels() == upstream.live.size());
    require(upstream.tickets.size() <= ProxyTranslator::kMaxQuestions);
    if (command & 128) proxy.consume_output(proxy.output().size());
  }
}

void answer_with(MuxClient& client, std::uint8_t choice, TimePoint now) {
  const MuxAnswer answers[] = {
      MuxOk{},           MuxFailure{0, "no"}, MuxSessionOpened{0, choice},  MuxAlive{0, 1},
      MuxProxyStarted{}, MuxRemotePort{0, 9}, MuxPermissionDenied{0, "no"}, MuxExtInfoText{0, true, "text"}};
  client.answer(answers[choice % 8], now);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::set_level(log::Level::kOff);
  ByteView in(data, size);
  if (size > 0 && data[0] == 'p') return run_proxy(in.subspan(1)), 0;
  TimePoint now;
  MuxClient client(now);
  std::optional<MuxClient::Asked> asked;
  while (!in.empty() && !client.finished()) {
    std::uint8_t command = cut(in, 1)[0];
    switch (command % 8) {
      case 0:
        if (asked) answer_with(client, command / 8, now);
        asked.reset();
        break;
      case 1:
        client.consume_output(client.output().size(), now);
        break;
      case 2:
        now += seconds(command / 8);
        client.tick(now);
        break;
      case 3:
        if (command & 8) client.tty_failed();
        if (command & 16) client.passenger_ended(command);
        break;
      default: {
        std::vector<Fd> descriptors;
        for (int i = command & 3; i > 0; --i)
          descriptors.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
        client.feed(cut(in, command / 8u), std::move(descriptors), now);
      }
    }
    if (client.error()) asked.reset();
    if (auto next = client.take_request()) {
      require(!asked && next->descriptors.size() == descriptors_of(next->request));
      require(!mux_objection(next->request));
      asked = std::move(next);
    }
    require(client.awaited_descriptors() <= MuxClient::kMaxDescriptors);
    if (client.state() == MuxClient::State::kProxy) {
      run_proxy(client.take_proxy_input());
      break;
    }
  }
  // Whatever it is as a packet, it reads back as what was written.
  if (Result<MuxRequest> request = decode_mux_request(ByteView(data, size))) {
    Bytes frame = encode_mux(*request);
    Result<MuxRequest> again = decode_mux_request(ByteView(frame).subspan(4));
    require(again.ok() && encode_mux(*again) == frame);
  }
  (void)decode_mux_answer(ByteView(data, size));
  (void)decode_mux_hello(ByteView(data, size));
  return 0;
}
