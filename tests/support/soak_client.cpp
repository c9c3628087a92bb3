#include "support/soak_client.h"

#include <sstream>
#include <thread>

#include "support/pattern.h"

namespace jump::test {

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
// Before the next try at a door that is shut: somebody else's turn.
constexpr Duration kShutPause = milliseconds(20);

}  // namespace

bool Door::serves(Duration deadline) const {
  constexpr std::uint32_t kSize = 8;
  SoakPlan plan;
  plan.target.send_size = plan.client.expect_size = kSize;
  plan.target.send_seed = plan.client.expect_seed = 1;
  std::optional<Socket> socket = connect();
  if (!socket || !socket->send_all(ByteView(plan.encode()), deadline)) return false;
  return socket->receive_exactly(kSize, deadline).bytes == pattern_bytes(1, kSize);
}

void Tally::operator+=(const Tally& other) {
  connections += other.connections;
  complete += other.complete;
  cut += other.cut;
  broken += other.broken;
  abandoned += other.abandoned;
  refused += other.refused;
  closed_doors += other.closed_doors;
  ended_short += other.ended_short;
  bytes += other.bytes;
  for (const std::string& text : other.complaints) complain(text);
}

std::string Tally::describe() const {
  std::ostringstream out;
  out << connections << " connections: " << complete << " complete, " << cut << " cut here, " << broken
      << " there, " << abandoned << " abandoned, " << refused << " refused";
  if (closed_doors > 0) out << ", " << closed_doors << " at doors that were shut";
  if (ended_short > 0) out << ", " << ended_short << " of the broken without a reset, at Unix sockets";
  out << "; " << bytes / kMiB << " MiB";
  return std::move(out).str();
}

Tally SoakClient::run(TimePoint until) {
  while (Clock::now() < until) {
    const std::uint64_t kind = random_() % 100;
    const bool to_nobody = closed_ && kind < 5;
    const Door& door = to_nobody ? *closed_ : doors_[random_() % doors_.size()];
    std::optional<Socket> socket = door.connect();
    if (!socket && weather_ == Weather::kStorm) {
      tally_.closed_doors++;
      std::this_thread::sleep_for(kShutPause);
      continue;
    }
    if (!socket) {
      tally_.complain("a forward's door refused a connection");
      continue;
    }
    tally_.connections++;
    if (to_nobody) {
      be_refused(*socket);
    } else if (kind < 10) {
      abandon(*socket);
    } else {
      carry_out(*socket, SoakPlan::draw(random_), door);
    }
  }
  return std::move(tally_);
}

void SoakClient::be_refused(Socket& socket) {
  const Received received = socket.receive_all();
  tally_.refused++;
  if (!received.ended() || !received.bytes.empty()) tally_.complain("a target that refuses was heard");
}

// Leaves in the middle of the plan, or without a word.
void SoakClient::abandon(Socket& socket) {
  const Bytes some(random_() % 2 ? 7 : 0);
  socket.send_all(some);
  if (random_() % 2) socket.reset();
  tally_.abandoned++;
}

void SoakClient::carry_out(Socket& socket, const SoakPlan& plan, const Door& door) {
  std::uint64_t moved = 0;
  SoakEnd end = SoakEnd::kBroken;
  if (socket.send_all(plan.encode())) end = play(socket, plan.client, &moved);
  tally_.bytes += moved;
  if (end == SoakEnd::kComplete) tally_.complete++;
  if (end == SoakEnd::kCut) tally_.cut++;
  if (end == SoakEnd::kBroken || end == SoakEnd::kShort) tally_.broken++;
  if (may_end(end, plan, door)) {
    if (end == SoakEnd::kShort && plan.orderly()) tally_.ended_short++;
    return;
  }
  std::ostringstream text;
  text << soak_end_name(end) << " at the client after " << moved << " bytes: " << plan;
  tally_.complain(text.str());
}

bool SoakClient::may_end(SoakEnd end, const SoakPlan& plan, const Door& door) const {
  if (!plan.orderly()) return end < SoakEnd::kWrong;
  const bool broken = end == SoakEnd::kBroken || (end == SoakEnd::kShort && !door.path.empty());
  return end == SoakEnd::kComplete || (weather_ == Weather::kStorm && broken);
}

}  // namespace jump::test
