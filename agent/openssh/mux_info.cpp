#include "openssh/mux_info.h"

#include <fmt/core.h>
#include <unistd.h>

#include "base/printable.h"

namespace jump {
namespace {

constexpr std::size_t kMaxWhat = 200;

}  // namespace

std::string connection_info(const Host& host, TimePoint now) {
  const Host& owner = host.leader() ? *host.leader() : host;
  std::string text = fmt::format("Connection information for {} pid {}\r\n", host.name(), getpid());
  if (const HopSpec* spec = host.spec()) text += fmt::format("  address {}\r\n", spec->address());
  const Hop* hop = owner.hop();
  if (!host.ready() || !hop) return text + "  not connected\r\n";
  const Transport::AgreedAlgorithms agreed = hop->agreed_algorithms();
  text += fmt::format(
      "  kexalgorithm {}\r\n  hostkeyalgorithm {}\r\n  cipher {}\r\n  mac {}\r\n  compression none\r\n",
      agreed.kex, agreed.host_key, agreed.cipher, agreed.mac.empty() ? "<implicit>" : agreed.mac);
  if (const auto rtt = hop->round_trip())
    text += fmt::format("  round trip {:.1f} ms\r\n", 1000 * to_seconds(*rtt));
  if (const auto heard = host.last_heard())
    text += fmt::format("  last heard {:.1f} s ago\r\n", to_seconds(now - *heard));
  const MuxCounters& counters = hop->mux().counters();
  text += fmt::format("  bytes in {}, out {}\r\n", counters.bytes_in, counters.bytes_out);
  text += fmt::format("  key exchanges {}\r\n", hop->rekeys() + 1);
  return text;
}

std::string channel_info(const Sessions& book, const Forwards& forwards, const std::string& host) {
  std::string text = "The following connections are open:\r\n";
  for (const auto& [id, facts] : book.all()) {
    if (facts.host != host) continue;
    text += fmt::format("  #{} {}{}{} ({})\r\n", id, facts.kind, facts.what.empty() ? "" : " ",
                        printable(facts.what, kMaxWhat), facts.state);
  }
  for (const WantedForward& each : forwards.all()) {
    if (each.forward->host().name() != host) continue;
    const ForwardCounters counters = each.forward->counters();
    if (counters.connections == 0) continue;
    text += fmt::format("  #{} {}: {} connections\r\n", each.id(), each.forward->describe(),
                        counters.connections);
  }
  return text;
}

}  // namespace jump
