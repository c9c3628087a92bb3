// However the bytes are pieced, the lines are the same, none is empty or over the cap, and the end comes
// once. The first byte chooses the size of the pieces.
#include <cstdlib>
#include <vector>

#include "proto/line_framer.h"

namespace {

using jump::proto::LineFramer;

constexpr std::size_t kCap = 16;

struct Outcome {
  std::vector<std::string> lines;
  int ends = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome run(jump::ByteView text, std::size_t piece) {
  LineFramer framer(kCap);
  Outcome outcome;
  while (!text.empty()) {
    const std::size_t size = std::min(piece, text.size());
    framer.feed(text.first(size));
    text = text.subspan(size);
    std::string_view line;
    LineFramer::Next next = framer.next(&line);
    for (; next == LineFramer::Next::kLine; next = framer.next(&line)) {
      if (line.empty() || line.size() >= kCap) std::abort();
      outcome.lines.emplace_back(line);
    }
    if (next == LineFramer::Next::kTooLong) ++outcome.ends;
    if (framer.ended() != (outcome.ends == 1) || framer.buffered() >= kCap) std::abort();
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{data[0]} % 40 + 1;
  const jump::ByteView text(data + 1, size - 1);
  if (!(run(text, piece) == run(text, 1))) std::abort();
  return 0;
}
