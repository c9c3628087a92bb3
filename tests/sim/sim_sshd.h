// SimSshd: a whole SSH server in memory for simulations: TestServer's transport, a login that lets everybody
// in (or nobody, or whoever signs with any key), and the server's side of channels to a few targets, told
// apart by port:
//
//   kEcho    sends back what it gets, and EOF at EOF      kHole    never answers the open
//   kHash    at EOF answers with a line about what it got kRefuse  refuses the open
//
// and any other port to wherever reach() says, so that servers can stand behind one another.
//
// It obeys windows and checks ours: more than was granted fails the test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/wire.h"
#include "channel/messages.h"
#include "support/sim_io.h"
#include "unit/transport_test_server.h"

namespace jump::test {

class SimSshd final : public StreamHandler {
 public:
  static constexpr std::uint32_t kEcho = 1, kHash = 2, kHole = 3, kRefuse = 4;

  // Serves `stream`; logs everybody in unless `closed_to_all`.
  void serve(std::unique_ptr<ByteStream> stream, bool closed_to_all) {
    stream_ = std::move(stream);
    closed_to_all_ = closed_to_all;
    stream_->set_handler(this);
    flush();
  }

  // What it can connect to: the near end of a stream; null refuses.
  using Reach = std::function<std::unique_ptr<ByteStream>(const std::string& host, std::uint32_t port)>;
  void reach(Reach reach) { reach_ = std::move(reach); }

  // The hosts that it hears nothing of when it connects to them.
  void loses(std::function<bool(const std::string& host)> lost) { lost_ = std::move(lost); }

  // MaxSessions.
  void allow_sessions(std::size_t most) { max_sessions_ = most; }
  // From now on a login takes a signature; whose, and whether it is right, does not matter.
  void want_signature() { wants_signature_ = true; }

  // From now on a login takes a code: any will do.
  void want_code() { wants_code_ = true; }
  // As when the directory of users hangs: no login is answered.
  void ignore_logins() { ignores_logins_ = true; }
  std::size_t logins() const { return logins_; }  // that were let in
  // From now on a login takes a password; which, does not matter.
  void want_password() { wants_password_ = true; }

  // As when the path breaks in the middle of a login by key.
  void drop_logins() { drops_logins_ = true; }

  std::size_t open_channels() const { return channels_.size(); }
  std::size_t opens() const { return opens_; }  // asked for, ever
  // As targets do that close idle connections: a last word, EOF and CLOSE on every channel that has carried
  // nothing.
  void end_idle_channels(std::string_view last_word) {
    for (auto& [number, channel] : channels_) {
      if (channel.got > 0) continue;
      channel.out = last_word;
      channel.eof_in = true;
      push(channel);
    }
    flush();
  }
  Bytes host_key_blob() const { return server_.host_key_blob(); }
  // A sign of life that means nothing.
  void send_ignore() {
    server_.send(WireWriter().u8(ssh::kIgnore).string("").take());
    flush();
  }
  void rekey() {
    server_.start_key_exchange();
    flush();
  }
  // As when the machine dies: nothing more is said, and the stream breaks.
  void die() {
    stream_->abort();
    break_links();
  }
  // Cuts the stream after so many more bytes from the client.
  void die_after(std::size_t bytes) { left_to_live_ = bytes; }
  // As a server that hangs: bytes are taken and nothing is answered.
  void hang() { hanging_ = true; }
  // As one whose receive buffer is full.
  void stop_reading() { reads_ = false; }
  void read_on() {
    reads_ = true;
    stream_->resume_reading();
  }
  // It takes up what it was sent meanwhile.
  void go_on() {
    hanging_ = false;
    server_.feed(std::exchange(unheard_, {}));
    answer();
  }
  bool ended() const { return ended_; }

  std::size_t on_data(ByteView data) override {
    if (!reads_) return 0;
    if (hanging_) {
      unheard_.insert(unheard_.end(), data.begin(), data.end());
      return data.size();
    }
    if (left_to_live_ != SIZE_MAX) {
      std::size_t part = std::min(left_to_live_, data.size());
      left_to_live_ -= part;
      server_.feed(data.first(part));
      answer();
      if (left_to_live_ == 0) die();
      return data.size();
    }
    server_.feed(data);
    answer();
    return data.size();
  }
  void on_eof() override { stream_->close(); }
  void on_writable() override { flush(); }
  void on_closed(const Error*) override {
    ended_ = true;
    break_links();
  }

 private:
  // What a channel is connected to, where reach() said so.
  class Link final : public StreamHandler {
   public:
    Link(SimSshd& sshd, std::uint32_t number, std::unique_ptr<ByteStream> stream)
        : sshd_(sshd), number_(number), stream_(std::move(stream)) {
      stream_->set_handler(this);
    }
    void send(ByteView data) {
      waiting_.append(data);
      on_writable();
    }
    void shutdown() {
      shut_ = true;
      on_writable();
    }
    void abort() { stream_->abort(); }

    std::size_t on_data(ByteView data) override {
      sshd_.from_link(number_, data, false);
      return data.size();
    }
    void on_eof() override { sshd_.from_link(number_, {}, true); }
    void on_writable() override {
      while (!waiting_.empty()) {
        std::size_t count = stream_->write(waiting_.front());
        if (count == 0) return;
        waiting_.consume(count);
      }
      if (shut_) stream_->shutdown_write();
    }
    void on_closed(const Error*) override { sshd_.from_link(number_, {}, true); }

   private:
    SimSshd& sshd_;
    const std::uint32_t number_;
    std::unique_ptr<ByteStream> stream_;
    ByteQueue waiting_;
    bool shut_ = false;
  };

  struct Channel {
    std::uint32_t client = 0;  // the client's number
    std::uint32_t port = 0;
    std::uint32_t send_window = 0;
    std::uint32_t recv_window = kWindow;
    std::string out;
    std::size_t got = 0;
    bool eof_in = false, eof_out = false, close_out = false;
    bool session = false;
    std::unique_ptr<Link> link;
  };
  static constexpr std::uint32_t kWindow = 50000;

  void from_link(std::uint32_t number, ByteView data, bool end) {
    auto found = channels_.find(number);
    if (found == channels_.end() || ended_) return;
    found->second.out += as_text(data);
    if (end) found->second.eof_in = true;  // the channel ends as a whole
    push(found->second);
    flush();
  }
  void break_links() {
    for (auto& [number, channel] : channels_) {
      if (channel.link) channel.link->abort();
    }
  }

  void answer() {
    while (server_.has_message()) on_message(server_.take_message());
    for (auto& [number, channel] : channels_) push(channel);
    flush();
  }

  void on_message(const Bytes& message) {
    WireReader in(message);
    switch (in.u8()) {
      case 50:
        return on_userauth(in);
      case 61:
        return let_in();
      case ssh::kGlobalRequest:
        return send(WireWriter().u8(ssh::kRequestFailure));
      case ssh::kChannelOpen:
        return on_open(in);
      case ssh::kChannelData: {
        std::uint32_t number = in.u32();
        auto found = channels_.find(number);
        ByteView data = in.string();
        ASSERT_TRUE(found != channels_.end());
        Channel& channel = found->second;
        ASSERT_LE(data.size(), channel.recv_window) << "the client overran the window";
        ASSERT_TRUE(channel.link || !channel.eof_in);
        channel.recv_window -= static_cast<std::uint32_t>(data.size());
        channel.got += data.size();
        if (channel.link) channel.link->send(data);
        if (channel.port == kEcho) channel.out += as_text(data);
        if (channel.recv_window < kWindow / 2) {
          send(WireWriter()
                   .u8(ssh::kChannelWindowAdjust)
                   .u32(channel.client)
                   .u32(kWindow - channel.recv_window));
          channel.recv_window = kWindow;
        }
        return;
      }
      case ssh::kChannelWindowAdjust: {
        auto found = channels_.find(in.u32());
        if (found != channels_.end()) found->second.send_window += in.u32();
        return;
      }
      case ssh::kChannelEof: {
        Channel& channel = channels_.at(in.u32());
        if (channel.link) return channel.link->shutdown();
        ASSERT_FALSE(channel.eof_in);
        channel.eof_in = true;
        if (channel.port == kHash) channel.out += "got " + std::to_string(channel.got) + "\n";
        return;
      }
      case ssh::kChannelClose: {
        std::uint32_t number = in.u32();
        Channel& channel = channels_.at(number);
        if (!channel.close_out) send(WireWriter().u8(ssh::kChannelClose).u32(channel.client));
        if (channel.link) channel.link->abort();
        channels_.erase(number);
        return;
      }
      default:
        return;
    }
  }

  void let_in() {
    logins_++;
    send(WireWriter().u8(52));
  }

  void on_userauth(WireReader& in) {
    if (ignores_logins_) return;
    in.text();  // user
    in.text();  // service
    const std::string method(in.text());
    const bool by_key = method == "publickey";
    if (wants_code_ && method == "keyboard-interactive")
      return send(
          WireWriter().u8(60).string("").string("").string("").u32(1).string("Code: ").boolean(false));
    if (wants_code_) return send(WireWriter().u8(51).string("keyboard-interactive").boolean(false));
    if (drops_logins_ && method == "publickey") return die();
    if (wants_password_)
      return method == "password" ? send(WireWriter().u8(52))
                                  : send(WireWriter().u8(51).string("password").boolean(false));
    bool is_signed = by_key && in.boolean();
    if (closed_to_all_ || (wants_signature_ && !by_key)) {
      return send(WireWriter().u8(51).string("publickey").boolean(false));
    }
    if (!wants_signature_ || is_signed) return let_in();
    std::string_view algorithm = in.text();
    send(WireWriter().u8(60).string(algorithm).string(in.string()));
  }

  void on_session(WireReader& in) {
    Channel channel;
    channel.session = true;
    channel.client = in.u32();
    channel.send_window = in.u32();
    std::size_t sessions = 0;
    for (const auto& [number, each] : channels_) sessions += each.session ? 1 : 0;
    if (sessions >= max_sessions_)
      return send(WireWriter()
                      .u8(ssh::kChannelOpenFailure)
                      .u32(channel.client)
                      .u32(1)
                      .string("open failed")
                      .string(""));
    const std::uint32_t number = next_++;
    send(WireWriter()
             .u8(ssh::kChannelOpenConfirmation)
             .u32(channel.client)
             .u32(number)
             .u32(kWindow)
             .u32(32768));
    channels_[number] = std::move(channel);
  }

  void on_open(WireReader& in) {
    const std::string_view type = in.text();
    opens_++;
    if (type == "session") return on_session(in);
    EXPECT_EQ(type, "direct-tcpip");
    Channel channel;
    channel.client = in.u32();
    channel.send_window = in.u32();
    in.u32();
    std::string host(in.text());
    channel.port = in.u32();
    if (channel.port == kHole || (lost_ && lost_(host))) return;
    const bool beyond = channel.port > kRefuse;
    std::unique_ptr<ByteStream> stream = beyond && reach_ ? reach_(host, channel.port) : nullptr;
    if (channel.port == kRefuse || (beyond && reach_ && !stream)) {
      return send(WireWriter()
                      .u8(ssh::kChannelOpenFailure)
                      .u32(channel.client)
                      .u32(2)
                      .string("Connection refused")
                      .string(""));
    }
    std::uint32_t number = next_++;
    send(WireWriter()
             .u8(ssh::kChannelOpenConfirmation)
             .u32(channel.client)
             .u32(number)
             .u32(kWindow)
             .u32(32768));
    Channel& opened = channels_[number] = std::move(channel);
    if (stream) opened.link = std::make_unique<Link>(*this, number, std::move(stream));
  }

  void push(Channel& channel) {
    while (!channel.out.empty() && channel.send_window > 0) {
      std::size_t count =
          std::min({channel.out.size(), std::size_t{channel.send_window}, std::size_t{32000}});
      send(WireWriter()
               .u8(ssh::kChannelData)
               .u32(channel.client)
               .string(std::string_view(channel.out).substr(0, count)));
      channel.out.erase(0, count);
      channel.send_window -= static_cast<std::uint32_t>(count);
    }
    if (channel.eof_in && channel.out.empty() && !channel.eof_out) {
      channel.eof_out = channel.close_out = true;
      send(WireWriter().u8(ssh::kChannelEof).u32(channel.client));
      send(WireWriter().u8(ssh::kChannelClose).u32(channel.client));
    }
  }

  void send(const WireWriter& message) { server_.send(message.view()); }

  void flush() {
    Bytes more = server_.take_output();
    output_.append(more);
    while (!output_.empty()) {
      std::size_t count = stream_->write(output_.front());
      if (count == 0) return;
      output_.consume(count);
    }
  }

  TestServer server_;
  Reach reach_;
  std::function<bool(const std::string&)> lost_;
  std::unique_ptr<ByteStream> stream_;
  ByteQueue output_;
  std::map<std::uint32_t, Channel> channels_;
  std::uint32_t next_ = 100;
  std::size_t opens_ = 0;
  std::size_t left_to_live_ = SIZE_MAX;
  bool closed_to_all_ = false;
  bool wants_signature_ = false, wants_code_ = false, ignores_logins_ = false;
  std::size_t logins_ = 0;
  bool wants_password_ = false;
  bool drops_logins_ = false;
  std::size_t max_sessions_ = 10;
  bool hanging_ = false;
  bool reads_ = true;
  Bytes unheard_;  // while it hangs
  bool ended_ = false;
};

}  // namespace jump::test
