// A Mux with a scripted peer: packets in, packets out, no socket, no clock.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux.h"

namespace jump::test {

struct FakeSink final : PacketSink {
  std::deque<Bytes> sent;
  bool blocked = false;
  bool room = true;
  int wakes = 0;

  bool send_packet(ByteView head, ByteView body) override {
    if (blocked) return false;
    Bytes packet = to_bytes(head);
    packet.insert(packet.end(), body.begin(), body.end());
    sent.push_back(std::move(packet));
    return true;
  }
  bool has_room() const override { return room; }
  void wake() override { wakes++; }
};

struct Owner final : StreamHandler, ChannelEvents {
  std::string received;
  std::size_t appetite = SIZE_MAX;
  bool opened = false, eof = false, closed = false;
  int writable = 0;
  std::optional<Error> error;
  std::function<void()> on_each_data;

  std::size_t on_data(ByteView data) override {
    std::size_t count = std::min(appetite, data.size());
    received += as_text(data.first(count));
    if (appetite != SIZE_MAX) appetite -= count;
    if (on_each_data) on_each_data();
    return count;
  }
  void on_eof() override {
    EXPECT_FALSE(eof);
    eof = true;
  }
  void on_writable() override { writable++; }
  void on_closed(const Error* why) override {
    EXPECT_FALSE(closed);
    closed = true;
    if (why) error = *why;
  }
  void on_opened() override { opened = true; }
};

inline Bytes packet(const WireWriter& writer) { return to_bytes(writer.view()); }

class MuxTest : public testing::Test {
 protected:
  FakeSink sink;
  WindowBudget budget;
  TimePoint start = TimePoint() + std::chrono::hours(1);
  std::unique_ptr<Mux> mux = std::make_unique<Mux>(&sink, &budget, start);

  std::unique_ptr<Channel> open(Owner& owner, Duration deadline = seconds(10)) {
    auto channel = mux->open(ChannelOpen::direct_tcpip("svc", 80, "127.0.0.1", 1), start + deadline, &owner);
    EXPECT_TRUE(channel.ok());
    (*channel)->set_handler(&owner);
    mux->pump(start);
    return *std::move(channel);
  }
  // The number under which the last CHANNEL_OPEN was sent.
  std::uint32_t last_open() {
    for (auto it = sink.sent.rbegin(); it != sink.sent.rend(); ++it) {
      WireReader in(*it);
      if (in.u8() != ssh::kChannelOpen) continue;
      in.string();
      return in.u32();
    }
    ADD_FAILURE() << "no open was sent";
    return 0;
  }
  void confirm(std::uint32_t number, std::uint32_t remote, std::uint32_t window = 1 << 20,
               std::uint32_t max_packet = 32768) {
    WireWriter out;
    out.u8(ssh::kChannelOpenConfirmation).u32(number).u32(remote).u32(window).u32(max_packet);
    feed(packet(out));
  }
  void refuse(std::uint32_t number, std::uint32_t reason, std::string_view text) {
    WireWriter out;
    out.u8(ssh::kChannelOpenFailure).u32(number).u32(reason).string(text).string(std::string_view());
    feed(packet(out));
  }
  void data(std::uint32_t number, std::string_view text) {
    WireWriter out;
    out.u8(ssh::kChannelData).u32(number).string(text);
    feed(packet(out));
  }
  void message(std::uint8_t type, std::uint32_t number) {
    WireWriter out;
    out.u8(type).u32(number);
    feed(packet(out));
  }
  void adjust(std::uint32_t number, std::uint32_t more) {
    WireWriter out;
    out.u8(ssh::kChannelWindowAdjust).u32(number).u32(more);
    feed(packet(out));
  }
  void feed(const Bytes& bytes) {
    mux->handle_packet(bytes, start);
    mux->pump(start);
  }
  std::unique_ptr<Channel> open_and_confirm(Owner& owner, std::uint32_t remote,
                                            std::uint32_t window = 1 << 20) {
    auto channel = open(owner);
    confirm(last_open(), remote, window);
    EXPECT_TRUE(owner.opened);
    sink.sent.clear();
    return channel;
  }
  // Payload of all CHANNEL_DATA sent to `remote`.
  std::string sent_data(std::uint32_t remote) {
    std::string all;
    for (const Bytes& each : sink.sent) {
      WireReader in(each);
      if (in.u8() == ssh::kChannelData && in.u32() == remote) all += in.text();
    }
    return all;
  }
  // The last packet of that type; empty: none was sent.
  Bytes last_sent(std::uint8_t type) {
    for (auto it = sink.sent.rbegin(); it != sink.sent.rend(); ++it) {
      if (it->front() == type) return *it;
    }
    return {};
  }
  int sent_count(std::uint8_t type) {
    int count = 0;
    for (const Bytes& each : sink.sent) count += each.front() == type;
    return count;
  }
};

}  // namespace jump::test
