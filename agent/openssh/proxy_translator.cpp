#include "openssh/proxy_translator.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "channel/server_limits.h"

namespace jump {
namespace {

constexpr std::uint8_t kDisconnect = 1, kIgnore = 2, kUnimplemented = 3, kDebug = 4;  // RFC 4253 section 12
constexpr std::uint32_t kMaxPort = std::numeric_limits<std::uint16_t>::max();
constexpr std::size_t kMaxTypeName = 64;  // RFC 4250 section 4.6.1

bool sane_name(std::string_view name) {
  return name.size() <= ProxyTranslator::kMaxName && name.find('\0') == std::string_view::npos;
}

// What follows the name and want-reply of a request to listen, or to stop it. Null: malformed.
std::optional<ProxyListen> read_listen(WireReader& in, bool is_unix) {
  ProxyListen at;
  std::string_view name = in.text();
  std::uint32_t port = is_unix ? 0 : in.u32();
  if (!in.ok() || !sane_name(name) || port > kMaxPort || (is_unix && name.empty())) return std::nullopt;
  (is_unix ? at.path : at.address) = name;
  at.port = static_cast<std::uint16_t>(port);
  return at;
}

}  // namespace

// --- from the client ---------------------------------------------------------------------------------------

void ProxyTranslator::feed(ByteView data) {
  if (finished_) return;
  framer_.feed(data);
  process();
}

bool ProxyTranslator::may_go_on() const {
  return !finished_ && questions_.size() < kMaxQuestions && upstream_->has_room();
}

void ProxyTranslator::process() {
  while (may_go_on()) {
    Result<std::optional<ByteView>> packet = framer_.next();
    if (!packet) return broken(packet.error().message);
    if (!packet->has_value()) return;
    on_client_packet(**packet);
  }
}

void ProxyTranslator::on_client_packet(ByteView packet) {
  WireReader in(packet);
  std::uint8_t padding = in.u8(), type = in.u8();
  if (!in.ok() || padding != 0) return broken("a packet without a message, or with padding");
  switch (type) {
    case kDisconnect:
      finished_ = true;
      return;
    case kIgnore:
    case kUnimplemented:
    case kDebug:
      return;
    case ssh::kGlobalRequest:
      return on_global_request(in);
    case ssh::kChannelOpen:
      return on_client_open(in);
    case ssh::kChannelOpenConfirmation:
      return on_client_confirmation(in);
    case ssh::kChannelOpenFailure:
      return on_client_refusal(in);
    default:
      if (type < ssh::kChannelWindowAdjust || type > ssh::kChannelFailure) {
        return broken("message " + std::to_string(type));
      }
      return on_client_channel_packet(type, in);
  }
}

void ProxyTranslator::on_client_open(WireReader& in) {
  std::string_view type = in.text();
  std::uint32_t number = in.u32();
  ProxyGrant grant;
  grant.window = in.u32();
  grant.max_packet = in.u32();
  if (!in.ok() || grant.max_packet == 0 || type.size() > kMaxTypeName)
    return broken("a malformed channel open");
  const auto refuse = [this, number](std::uint32_t reason, std::string_view why) {
    WireWriter refusal;
    refusal.u8(ssh::kChannelOpenFailure).u32(number).u32(reason).string(why).string(std::string_view());
    send(refusal.view(), {});
  };
  const ByteView specific = in.rest();
  if (Status taken = check_request(type, specific); !taken)
    return refuse(ssh::kOpenAdministrativelyProhibited, taken.error().message);
  std::optional<Channel> channel = take_id(Phase::kAsked, number);
  if (!channel) return refuse(ssh::kOpenResourceShortage, "too many channels");
  grant.max_packet = std::min<std::uint32_t>(grant.max_packet, kMaxData);
  entries_[*channel].server = {grant.window, grant.max_packet};
  upstream_->open(*channel, type, grant, specific);
}

void ProxyTranslator::on_client_confirmation(WireReader& in) {
  Channel channel = in.u32();
  std::uint32_t number = in.u32();
  ProxyGrant grant;
  grant.window = in.u32();
  grant.max_packet = in.u32();
  Entry* entry = in.ok() ? find(channel) : nullptr;
  if (!entry || entry->phase != Phase::kOffered || grant.max_packet == 0) {
    return broken("a confirmation of a channel that was not offered, or a malformed one");
  }
  grant.max_packet = std::min<std::uint32_t>(grant.max_packet, kMaxData);
  entry->phase = Phase::kOpen;
  entry->client_number = number;
  entry->server = {grant.window, grant.max_packet};
  upstream_->accept(channel, grant, in.rest());
}

void ProxyTranslator::on_client_refusal(WireReader& in) {
  Channel channel = in.u32();
  std::uint32_t reason = in.u32();
  std::string_view text = in.text();
  Entry* entry = in.ok() ? find(channel) : nullptr;
  if (!entry || entry->phase != Phase::kOffered) {
    return broken("a refusal of a channel that was not offered, or a malformed one");
  }
  free_id(channel);
  upstream_->refuse(channel, reason, text);
}

void ProxyTranslator::on_client_channel_packet(std::uint8_t type, WireReader& in) {
  Channel channel = in.u32();
  Entry* entry = in.ok() ? find(channel) : nullptr;
  if (!entry || entry->phase != Phase::kOpen) return broken("a packet for a channel that is not open");
  ByteView rest = in.rest();
  if (const char* wrong = check(*entry, type, rest)) return broken(wrong);
  upstream_->send(channel, type, rest);
  release_if_closed(channel);
}

// Accounts for a packet of the client's. Not null: what is wrong with it.
const char* ProxyTranslator::check(Entry& entry, std::uint8_t type, ByteView rest) {
  WireReader in(rest);
  if (entry.client.closed) return "a packet after CLOSE";
  switch (type) {
    case ssh::kChannelWindowAdjust: {
      std::uint32_t more = in.u32();
      if (!in.at_end()) return "a malformed window adjustment";
      if (more > std::numeric_limits<std::uint32_t>::max() - entry.server.window)
        return "a window beyond 2^32-1";
      entry.server.window += more;
      return nullptr;
    }
    case ssh::kChannelData:
    case ssh::kChannelExtendedData: {
      if (type == ssh::kChannelExtendedData) in.u32();
      std::size_t size = in.string().size();
      if (!in.at_end()) return "a malformed data packet";
      if (entry.client.eof) return "data after EOF";
      if (size > entry.client.window) return "data beyond the server's window";
      if (size > entry.client.max_packet) return "a larger data packet than the server takes";
      entry.client.window -= static_cast<std::uint32_t>(size);
      return nullptr;
    }
    case ssh::kChannelEof:
      entry.client.eof = true;
      return rest.empty() ? nullptr : "a malformed EOF";
    case ssh::kChannelClose:
      entry.client.closed = true;
      return rest.empty() ? nullptr : "a malformed CLOSE";
    case ssh::kChannelRequest: {
      const std::string_view name = in.text();
      in.u8();
      if (!in.ok()) return "a malformed channel request";
      return check_request(name, in.rest())
                 ? nullptr
                 : "a channel request that no server takes: a zero byte in its text";
    }
    default:  // the answers to channel requests
      if (!rest.empty() || entry.client.questions == 0) return "an answer to a request that was not made";
      entry.client.questions--;
      return nullptr;
  }
}

// --- global requests ---------------------------------------------------------------------------------------

void ProxyTranslator::on_global_request(WireReader& in) {
  std::string_view name = in.text();
  bool want_reply = in.boolean();
  if (!in.ok()) return broken("a malformed global request");
  Ticket ticket = ++last_ticket_;
  questions_.push_back({ticket, want_reply, std::nullopt, {}});
  if (ask(name, in, ticket)) return;
  questions_.back().success = name == "no-more-sessions@openssh.com";
  if (!*questions_.back().success) log::debug("openssh proxy: {} refused", printable(name, 64));
  answer_questions();
}

// Asks upstream. False: that is not for upstream.
bool ProxyTranslator::ask(std::string_view name, WireReader& in, Ticket ticket) {
  if (name == "keepalive@openssh.com") {
    upstream_->ping(ticket);
    return true;
  }
  bool cancels = name.starts_with("cancel-");
  if (cancels) name.remove_prefix(std::string_view("cancel-").size());
  bool is_unix = name == "streamlocal-forward@openssh.com";
  if (!is_unix && name != "tcpip-forward") return false;
  std::optional<ProxyListen> at = read_listen(in, is_unix);
  if (!at) {
    broken("a malformed request to listen");
  } else if (cancels) {
    upstream_->cancel(ticket, *at);
  } else {
    upstream_->listen(ticket, *at);
  }
  return true;
}

void ProxyTranslator::on_answer(Ticket ticket, bool success, ByteView data) {
  auto asked = std::find_if(questions_.begin(), questions_.end(),
                            [&](const Question& each) { return each.ticket == ticket; });
  if (asked == questions_.end() || asked->success) return;
  asked->success = success;
  if (success) asked->data = to_bytes(data);
  answer_questions();
}

// Replies go out in the order of the requests.
void ProxyTranslator::answer_questions() {
  for (; !questions_.empty() && questions_.front().success; questions_.pop_front()) {
    const Question& first = questions_.front();
    std::uint8_t type = *first.success ? ssh::kRequestSuccess : ssh::kRequestFailure;
    if (first.want_reply) send(ByteView(&type, 1), first.data);
  }
}

// --- from upstream -----------------------------------------------------------------------------------------

void ProxyTranslator::on_packet(Channel channel, std::uint8_t type, ByteView rest) {
  Entry* entry = find(channel);
  bool answers = type == ssh::kChannelOpenConfirmation || type == ssh::kChannelOpenFailure;
  if (finished_ || !entry || entry->phase != (answers ? Phase::kAsked : Phase::kOpen)) return;
  WireWriter head;
  head.u8(type).u32(entry->client_number);
  if (type == ssh::kChannelOpenConfirmation) head.u32(channel);  // what the client shall call it
  WireReader in(rest);
  switch (type) {
    case ssh::kChannelOpenConfirmation:
      entry->phase = Phase::kOpen;
      entry->client.window = in.u32();
      entry->client.max_packet = in.u32();
      break;
    case ssh::kChannelWindowAdjust:
      entry->client.window +=
          std::min(in.u32(), std::numeric_limits<std::uint32_t>::max() - entry->client.window);
      break;
    case ssh::kChannelExtendedData:
      in.u32();
      [[fallthrough]];
    case ssh::kChannelData:
      entry->server.window -= std::min(static_cast<std::uint32_t>(in.string().size()), entry->server.window);
      break;
    case ssh::kChannelRequest:
      in.string();
      if (in.boolean()) entry->client.questions++;
      break;
    case ssh::kChannelClose:
      entry->server.closed = true;
      break;
    default:
      break;
  }
  send(head.view(), rest);
  if (type == ssh::kChannelOpenFailure) {
    free_id(channel);
    return upstream_->release(channel);
  }
  release_if_closed(channel);
}

void ProxyTranslator::on_refused(Channel channel, std::uint32_t reason, std::string_view text) {
  Entry* entry = find(channel);
  if (finished_ || !entry || entry->phase != Phase::kAsked) return;
  WireWriter refusal;
  refusal.u8(ssh::kChannelOpenFailure).u32(entry->client_number).u32(reason);
  refusal.string(text).string(std::string_view());
  send(refusal.view(), {});
  free_id(channel);
}

std::optional<ProxyTranslator::Channel> ProxyTranslator::offer(std::string_view type, ProxyGrant grant,
                                                               ByteView specific) {
  if (finished_) return std::nullopt;
  std::optional<Channel> channel = take_id(Phase::kOffered, 0);
  if (!channel) return std::nullopt;
  entries_[*channel].client = {grant.window, grant.max_packet};
  WireWriter open;
  open.u8(ssh::kChannelOpen).string(type).u32(*channel).u32(grant.window).u32(grant.max_packet);
  send(open.view(), specific);
  return channel;
}

// --- steps -------------------------------------------------------------------------------------------------

ProxyTranslator::Entry* ProxyTranslator::find(Channel channel) {
  bool known = channel < entries_.size() && entries_[channel].phase != Phase::kFree;
  return known ? &entries_[channel] : nullptr;
}

std::optional<ProxyTranslator::Channel> ProxyTranslator::take_id(Phase phase, std::uint32_t client_number) {
  if (free_.empty()) {
    if (entries_.size() >= kMaxChannels) return std::nullopt;
    free_.push_back(static_cast<Channel>(entries_.size()));
    entries_.emplace_back();
  }
  Channel channel = free_.back();
  free_.pop_back();
  entries_[channel] = Entry{phase, client_number, {}, {}};
  return channel;
}

void ProxyTranslator::free_id(Channel channel) {
  entries_[channel] = Entry{};
  free_.push_back(channel);
}

void ProxyTranslator::release_if_closed(Channel channel) {
  if (!entries_[channel].client.closed || !entries_[channel].server.closed) return;
  free_id(channel);
  upstream_->release(channel);
}

// One packet for the client: head, then rest, as its payload.
void ProxyTranslator::send(ByteView head, ByteView rest) {
  if (finished_) return;
  if (output_.size() > kMaxUnread) {
    return end(Error{
        Errc::kLimit, "the client has not read " + std::to_string(kMaxUnread / 1024 / 1024) + " MiB", {}});
  }
  // ssh(1) takes no packet of less than five bytes for whole (ssh_packet_read_poll2_mux): answers without
  // data.
  static constexpr std::size_t kLeast = 5;
  const std::size_t size = 1 + head.size() + rest.size();
  const std::size_t padding = kLeast - std::min(kLeast, size);
  std::array<std::uint8_t, 5> begin{};
  store_u32(begin.data(), static_cast<std::uint32_t>(size + padding));
  begin[4] = static_cast<std::uint8_t>(padding);
  output_.append(begin);
  output_.append(head);
  output_.append(rest);
  output_.append(ByteView(std::array<std::uint8_t, kLeast>{}.data(), padding));
}

void ProxyTranslator::end(Error error) {
  if (finished_) return;
  finished_ = true;
  log::debug("openssh proxy: {}", error.message);
  error_ = std::move(error);
}

void ProxyTranslator::broken(std::string what) {
  end(Error{Errc::kProtocol, "the client sent " + std::move(what), {}});
}

}  // namespace jump
