// Descriptors from one process to another of the same user, over a Unix socket that the receiver has made for
// that. Blocks, within bounds.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace jump {

inline constexpr Duration kPassingMax = seconds(5);

// Connects to `path`, where a process of our own user must listen, and sends copies of all. Errors: kRefused,
// kUnreachable, kTimeout.
Status send_descriptors(const std::string& path, const std::vector<int>& descriptors);

class DescriptorReceiver {
 public:
  // Listens at `path`, mode 0600, until it goes.
  static Result<DescriptorReceiver> listen(const std::string& path);
  ~DescriptorReceiver();
  DescriptorReceiver(DescriptorReceiver&&) noexcept;
  DescriptorReceiver& operator=(DescriptorReceiver&&) = delete;

  const std::string& path() const { return path_; }
  // Exactly `count`, from a process of our own user. Errors: kTimeout, kProtocol (fewer), kRefused.
  Result<std::vector<Fd>> receive(std::size_t count);

 private:
  DescriptorReceiver(std::string path, Fd listener)
      : path_(std::move(path)), listener_(std::move(listener)) {}

  std::string path_;
  Fd listener_;
};

}  // namespace jump
