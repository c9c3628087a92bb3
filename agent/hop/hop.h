// Hop: one live SSH connection to one server, from dialing to its end. It owns the byte stream below, the
// transport, the login and the channels' Mux, and moves bytes between them:
//
//   stream.on_data → transport.feed/advance → mux.handle_packet        mux.pump → transport.send →
//   stream.write
//
// The ladder: kPreparing (known hosts are read) → kConnecting → kExchanging (key exchange, host key) →
// kAuthenticating → kReady → kClosed. Any step may fall to kClosed, with error(); a Hop is never reused.
//
// Invariants: nothing is read from the network faster than it is handled; no channel exists before kReady;
// every wait has a deadline; once kClosed, every channel has heard of it. The owner is told of each change
// through `changed`, from the loop, and may destroy the hop there only through Io::dispose().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "auth/host_key_check.h"
#include "auth/host_key_updater.h"
#include "auth/login.h"
#include "base/clock.h"
#include "base/result.h"
#include "channel/mux.h"
#include "hop/hop_report.h"
#include "hop/hop_spec.h"
#include "hop/liveness.h"
#include "stream/io.h"
#include "transport/transport.h"

namespace jump {

class Hop final : private PacketHandler, private PacketSink, private StreamHandler {
 public:
  enum class State { kPreparing, kConnecting, kExchanging, kAuthenticating, kReady, kClosed };

  // Bytes that may wait between the channels and the socket: enough to fill one write, short enough that a
  // keystroke does not wait behind it.
  static constexpr std::size_t kOutputMax = 128 * 1024;
  // From the end of the key exchange until we are in: sshd's own LoginGraceTime.
  static constexpr Duration kLoginTimeout = seconds(120);

  // The way there when it is not a dial of our own: through another hop.
  struct Via {
    std::string description;  // of that hop: "bastion (me@10.0.0.1:22)"
    // Connects to spec.host:port from there. Has a deadline of its own: that hop may have to log in first.
    std::function<std::unique_ptr<Operation>(Io::DialResult done)> dial;
  };

  // `contention` is shared by the hops to one host. `id` names the hop in the log. `changed` is called after
  // each change of state. `prompter`: the way to a person; null: there is none.
  Hop(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention, HopSpec spec, std::string id,
      std::function<void()> changed, Prompter* prompter = nullptr, Via via = {});
  ~Hop();
  Hop(const Hop&) = delete;
  Hop& operator=(const Hop&) = delete;

  void start();
  // Ends it, with the reason for those who use it; error() is then this one. kClosed follows at once,
  // `changed` later.
  void close(Error reason);

  // Called when it ends, before those who use it hear of that: channels that wait may be asked for elsewhere.
  void on_ending(std::function<void(Mux&)> ending) { ending_ = std::move(ending); }

  // What is owed for longer than usual, or a suspicion, puts the connection in doubt: TCP's next try may be
  // seconds away, even if the path is well again.
  static constexpr Duration kDoubt = seconds(1);
  // For the answer to a question about that; a path that is slower gets so many of its own round trips.
  static constexpr Duration kDoubtPatience = milliseconds(500);
  static constexpr int kDoubtRoundTrips = 3;
  // For how long the server has owed us a sign of life; zero: it owes none.
  Duration owed() const { return state_ == State::kReady ? liveness_.owed(io_.now()) : Duration::zero(); }
  // `changed` is called when it ends.
  bool in_doubt() const {
    return owed() >= kDoubt || (state_ == State::kReady && liveness_.suspected()) ||
           (questioned() && io_.now() - questioned_since_ >= kDoubt);
  }
  // Somebody wants to be sure: it is asked, and questioned() until anything comes; `changed` is called then.
  void question();
  bool questioned() const { return state_ == State::kReady && questioned_since_ != TimePoint::max(); }
  // Since when the server owes the answer to a question of ours; none: it owes none.
  std::optional<TimePoint> asked_since() const;
  // In doubt: asks, unless it was asked. How much longer the answer may take; zero: it should be here.
  Duration question_doubt();

  // The way to the server may have gone: the network has changed, or the machine has slept. A ready one asks
  // at once, and is dead or alive within Liveness::kSuspectPatience; where its machine is there, and it is
  // only slow, within the usual time.
  void suspect();

  State state() const { return state_; }
  const std::string& id() const { return id_; }
  const Error& error() const { return error_; }  // in kClosed
  const HopSpec& spec() const { return spec_; }
  Mux& mux() { return *mux_; }  // from kReady on
  const Mux& mux() const { return *mux_; }
  TimePoint since() const { return since_; }                       // when the state began
  std::optional<Duration> round_trip() const;                      // smoothed
  TimePoint last_heard() const { return liveness_.last_heard(); }  // long ago: nothing yet
  Transport::AgreedAlgorithms agreed_algorithms() const;           // the same, one by one
  std::string algorithms() const;                                  // empty before the key exchange
  bool needed_person() const { return needed_person_; }            // for its login; from kReady on
  // Something of the login was sent.
  bool login_began() const { return userauth_ != nullptr; }
  // The path broke in the middle of the login, without a word from the server, and no person had a part in
  // it: nothing was refused.
  bool login_broke() const { return login_broke_; }
  // The host key was accepted, but its file could not be written: why. Empty: all is well.
  const std::string& host_key_unrecorded() const { return host_key_unrecorded_; }
  bool asks_about_host_key() const { return host_key_check_ && host_key_check_->asking(); }
  // A person has a part in the login that is under way.
  bool attended() const { return login_ && (login_->waits_for_person() || login_->needed_person()); }
  std::uint64_t rekeys() const { return transport_ ? transport_->rekeys() : 0; }
  // The error of a connection that could not be had, or kept, through the hop that `description` names.
  static Error through(const std::string& description, const Error& error);

  // Good in every state, kClosed too.
  HopReport report() const;
  std::size_t output_size() const { return transport_ ? transport_->output().size() : 0; }

 private:
  // PacketHandler
  void on_packet(ByteView payload) override;
  void on_packets_end() override;
  // PacketSink
  bool send_packet(ByteView head, ByteView body) override;
  bool has_room() const override;
  void wake() override;
  std::size_t max_payload() const override { return transport_->max_payload(); }
  // StreamHandler: the network
  std::size_t on_data(ByteView data) override;
  void on_eof() override;
  void on_writable() override;
  void on_closed(const Error* error) override;

  void dial();
  // Not over a TCP connection of our own.
  bool is_carried() const { return via_.dial || !spec_.proxy_command.empty(); }
  Error by_carrier(const Error& error) const;
  Error cut_off(Error error);
  void on_dialed(Result<std::unique_ptr<ByteStream>> result);
  void drive();
  bool step();
  bool judge_host_key();
  void begin_login();
  void pause_login_deadline();
  void begin_service();
  void make_mux(TimePoint now);
  void flush();
  void arm_channel_timer();
  void watch_over();
  void check_alive();
  Duration usual_round_trip() const;
  void ask_suspect_again();
  void on_connect_timeout();
  void set_state(State next);
  void fail(Error error);
  void end(Error error);
  Error with_context(const Error& error) const;

  Io& io_;
  WindowBudget& budget_;
  const std::shared_ptr<Contention> contention_;
  const HopSpec spec_;
  const std::string id_;
  Prompter* const prompter_;
  std::function<void()> changed_;
  std::function<void(Mux&)> ending_;
  const Via via_;

  State state_ = State::kPreparing;
  TimePoint since_;
  Error error_;
  bool driving_ = false;  // drive() is on the stack: whoever wants it again is served by its loop
  bool again_ = false;
  bool needed_person_ = false;
  bool login_deadline_paused_ = false;
  bool login_broke_ = false;

  std::shared_ptr<const HostKeyFiles> host_key_files_;
  std::unique_ptr<HostKeyCheck> host_key_check_;
  std::unique_ptr<HostKeyUpdater> host_key_updater_;
  std::unique_ptr<Operation> operation_;  // reading known hosts, then dialing
  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Userauth> userauth_;
  std::unique_ptr<Login> login_;
  std::string host_key_unrecorded_;
  std::optional<LoginReport> login_report_;  // once it has ended
  std::unique_ptr<Mux> mux_;

  std::unique_ptr<Deferred> drive_soon_;
  std::unique_ptr<Deferred> changed_soon_;
  std::unique_ptr<Timer> connect_timer_;
  std::unique_ptr<Timer> channel_timer_;
  std::unique_ptr<Timer> alive_timer_;
  TimePoint alive_due_;  // when alive_timer_ fires
  TimePoint questioned_since_ = TimePoint::max();
  Liveness liveness_;
  bool looked_again_ = false;  // for what a server that seems dead may have said
};

std::string_view hop_state_name(Hop::State state);

}  // namespace jump
