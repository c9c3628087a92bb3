#include "socket_watch.h"

#include <sys/stat.h>

#include <utility>

#include "base/log.h"
#include "socket_directory.h"

namespace jump {

SocketWatch::SocketWatch(Io& io, ControlServer& server, std::string path, std::function<void()> anew)
    : io_(io),
      server_(server),
      path_(std::move(path)),
      anew_(std::move(anew)),
      ours_(file_at(path_)),
      timer_(io.timer([this] { look(); })) {
  timer_->start(kGap);
}

SocketWatch::File SocketWatch::file_at(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino};
}

// By the pool: the directory may be on a file system that hangs.
void SocketWatch::look() {
  auto found = std::make_shared<File>();
  looking_ = io_.in_pool([path = path_, found] { *found = file_at(path); },
                         [this, found] {
                           if (*found != ours_) restore();
                           timer_->start(kGap);
                         });
}

void SocketWatch::restore() {
  Status restored = prepare_socket_directory(path_);
  if (restored) restored = server_.listen(path_);
  if (restored) {
    ours_ = file_at(path_);
    said_.clear();
    anew_();
    return log::warn("the control socket {} was gone; it is there again", path_);
  }
  const std::string message = restored.error().message;
  if (std::exchange(said_, message) == message) return;
  log::error("the control socket {} is gone, and cannot be made anew yet: {}", path_, message);
}

}  // namespace jump
