#include "support/stuck_files.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "support/unique_fd.h"

namespace jump::test {
namespace {

constexpr std::uint64_t kFile = 2;

// Nothing of it may be cached: who asks has to ask the server.
fuse_attr attributes(std::uint64_t node) {
  fuse_attr attr{};
  attr.ino = node;
  attr.mode = node == kFile ? S_IFREG | 0600 : S_IFDIR | 0700;
  attr.nlink = 1;
  attr.blksize = 4096;
  return attr;
}

template <class Body>
void answer(int device, const fuse_in_header& request, const Body& body) {
  char bytes[sizeof(fuse_out_header) + sizeof(Body)];
  const fuse_out_header header{sizeof(bytes), 0, request.unique};
  std::memcpy(bytes, &header, sizeof(header));
  std::memcpy(bytes + sizeof(header), &body, sizeof(body));
  (void)!::write(device, bytes, sizeof(bytes));
}

void refuse(int device, const fuse_in_header& request, int error) {
  const fuse_out_header header{sizeof(header), -error, request.unique};
  (void)!::write(device, &header, sizeof(header));
}

void serve_one(int device, const fuse_in_header& request) {
  switch (request.opcode) {
    case FUSE_INIT: {
      fuse_init_out out{};
      out.major = FUSE_KERNEL_VERSION;
      out.minor = FUSE_KERNEL_MINOR_VERSION;
      out.max_write = 4096;
      return answer(device, request, out);
    }
    case FUSE_LOOKUP: {
      fuse_entry_out out{};
      out.nodeid = kFile;
      out.attr = attributes(kFile);
      return answer(device, request, out);
    }
    case FUSE_GETATTR: {
      fuse_attr_out out{};
      out.attr = attributes(request.nodeid);
      return answer(device, request, out);
    }
    case FUSE_OPEN:
      return answer(device, request, fuse_open_out{});
    case FUSE_FORGET:
      return;
    default:
      return refuse(device, request, EOPNOTSUPP);
  }
}

}  // namespace

StuckFiles::StuckFiles() {
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  shared_ = new (memory) Shared();
  // Whoever has the device open keeps the file system alive: nobody but the server must.
  const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device.get() < 0) return;
  const std::string options = "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=0,group_id=0";
  if (::mount("stuck", directory_.path().c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0) return;
  server_ = ::fork();
  if (server_ == 0) serve(device.get(), *shared_);
}

StuckFiles::~StuckFiles() {
  end();
  if (shared_) ::munmap(shared_, sizeof(Shared));
}

void StuckFiles::end() {
  if (server_ <= 0) return;
  ::kill(server_, SIGKILL);
  ::waitpid(std::exchange(server_, 0), nullptr, 0);
  ::umount2(directory_.path().c_str(), MNT_DETACH);
}

void StuckFiles::serve(int device, Shared& shared) {
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(kLongest);
  static char buffer[64 * 1024];
  while (true) {
    const ssize_t count = ::read(device, buffer, sizeof(buffer));
    if (count < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) ::_exit(0);
    if (count < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
    fuse_in_header request;
    std::memcpy(&request, buffer, sizeof(request));
    if (shared.stuck) {
      ++shared.unanswered;
    } else {
      serve_one(device, request);
    }
  }
}

}  // namespace jump::test
