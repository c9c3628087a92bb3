// NetworkWatch: says when the machine's addresses, routes, rules or links have changed (Linux rtnetlink), so
// that connections over them can be tried at once. A burst of changes, as when a laptop joins a network, is
// told as it begins, now and then while it lasts, and once more when it has settled. Elsewhere, and where
// netlink is forbidden, it stays silent.
#pragma once

#include <functional>
#include <memory>

#include "base/fd.h"
#include "loop/loop.h"
#include "stream/io.h"

namespace jump {

class NetworkWatch {
 public:
  // Without a further change for so long, a burst is over.
  static constexpr Duration kSettled = milliseconds(300);
  // One that does not end (containers that come and go, a routing daemon) is told again after so long.
  static constexpr Duration kToldAgain = milliseconds(500);

  NetworkWatch(Loop& loop, std::function<void()> changed);
  ~NetworkWatch();
  NetworkWatch(const NetworkWatch&) = delete;
  NetworkWatch& operator=(const NetworkWatch&) = delete;

 private:
  struct Block;

  void watch();
  void on_readable();

  std::function<void()> changed_;
  Fd socket_;
  std::shared_ptr<Block> block_;
  std::unique_ptr<Timer> settled_;
  bool in_burst_ = false;
  bool loss_logged_ = false;  // in this burst
  TimePoint told_;
};

}  // namespace jump
