#include "session/passed_descriptors.h"

#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/terminal.h"
#include "stream/joined_stream.h"

namespace jump {

Fd copy_of_terminal(const std::vector<Fd>& descriptors) {
  for (const Fd& each : descriptors) {
    if (is_terminal(each.get())) return Fd(fcntl(each.get(), F_DUPFD_CLOEXEC, 0));
  }
  return {};
}

void replace_unusable(Io& io, std::vector<Fd>& descriptors) {
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const int wanted = i == 0 ? O_RDONLY : O_WRONLY;
    const int flags = fcntl(descriptors[i].get(), F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == wanted) continue;
    close_elsewhere(io, std::exchange(descriptors[i], Fd(open("/dev/null", wanted | O_CLOEXEC))));
  }
}

void close_elsewhere(Io& io, Fd fd) {
  (void)io.in_pool([last = std::make_shared<Fd>(std::move(fd))] { *last = Fd(); }, [] {});
}

// All are adopted even where one cannot be used: a stream knows how to close a file whose server hangs.
Result<SessionStreams> adopt_standard(Io& io, std::vector<Fd> descriptors) {
  auto in = io.adopt_descriptor(std::move(descriptors[0]), DescriptorUse::kRead, "stdin");
  auto out = io.adopt_descriptor(std::move(descriptors[1]), DescriptorUse::kWrite, "stdout");
  auto err = io.adopt_descriptor(std::move(descriptors[2]), DescriptorUse::kWrite, "stderr");
  if (!in) return in.error();
  if (!out) return out.error();
  if (!err) return err.error();
  return SessionStreams{*std::move(in), *std::move(out), *std::move(err)};
}

Result<std::unique_ptr<ByteStream>> adopt_stream(Io& io, std::vector<Fd> descriptors) {
  if (descriptors.size() == 1)
    return io.adopt_descriptor(std::move(descriptors[0]), DescriptorUse::kBoth, "the client's socket");
  auto in = io.adopt_descriptor(std::move(descriptors[0]), DescriptorUse::kRead, "the client's input");
  if (!in) return in;
  auto out = io.adopt_descriptor(std::move(descriptors[1]), DescriptorUse::kWrite, "the client's output");
  if (!out) return out;
  return std::unique_ptr<ByteStream>(std::make_unique<JoinedStream>(*std::move(in), *std::move(out)));
}

}  // namespace jump
