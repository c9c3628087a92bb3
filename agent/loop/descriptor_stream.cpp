#include "loop/descriptor_stream.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/descriptor_kind.h"
#include "loop/file_stream.h"
#include "loop/one_way_stream.h"
#include "loop/passing_socket.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// /dev/tty means another terminal, or none, to whoever opens it; the master of a pseudo-terminal opens a new
// one.
bool opens_as_itself(int fd, const DescriptorKind& kind) {
  if (S_ISFIFO(kind.mode)) return true;
  unsigned number = 0;
  return kind.device != makedev(5, 0) && ioctl(fd, TIOCGPTN, &number) != 0;
}

// The same file with flags of our own; empty where that cannot be.
Fd open_again(int fd, DescriptorUse use) {
  const int mode = use == DescriptorUse::kRead ? O_RDONLY : O_WRONLY;
  return Fd(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

bool is_open_for(int flags, DescriptorUse use) {
  const int mode = flags & O_ACCMODE;
  return mode == O_RDWR || mode == (use == DescriptorUse::kRead ? O_RDONLY : O_WRONLY);
}

}  // namespace

Result<std::unique_ptr<ByteStream>> adopt_passed(Loop& loop, Fd fd, DescriptorUse use,
                                                 std::string description) {
  const int flags = fcntl(fd.get(), F_GETFL);
  const std::optional<DescriptorKind> is = flags < 0 ? std::nullopt : descriptor_kind(fd.get());
  if (!is) return errno_error(description);
  if (use == DescriptorUse::kBoth)
    return PassingSocket::adopt(loop, std::move(fd), {}, std::move(description));
  if (!is_open_for(flags, use)) {
    FileStream::let_go(loop, std::make_shared<Fd>(std::move(fd)));
    const char* what = use == DescriptorUse::kRead ? "reading" : "writing";
    return Error{Errc::kInvalid, fmt::format("{} is not open for {}", description, what), {}};
  }
  if (S_ISREG(is->mode) || S_ISBLK(is->mode) || S_ISDIR(is->mode))
    return FileStream::make(loop, std::move(fd), use, std::move(description));
  // Its owner may clear O_NONBLOCK where it is set now.
  auto kind = S_ISSOCK(is->mode) ? OneWayStream::Kind::kSocket : OneWayStream::Kind::kShared;
  if (kind == OneWayStream::Kind::kShared && opens_as_itself(fd.get(), *is)) {
    if (Fd own = open_again(fd.get(), use)) {
      fd = std::move(own);
      kind = OneWayStream::Kind::kOwn;
    }
  }
  auto stream = OneWayStream::make(loop, &fd, use, kind, description);
  if (stream || stream.error().code != Errc::kUnsupported) return stream;
  return FileStream::make(loop, std::move(fd), use, std::move(description));
}

}  // namespace jump
