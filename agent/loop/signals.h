// Signals: calls back on the loop when one of the given signals arrives (SIGINT, SIGTERM, SIGHUP, SIGWINCH,
// …). Watching a signal replaces its default effect for as long as the object lives; it does not keep run()
// going.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "base/result.h"
#include "loop/loop.h"

namespace jump {

class Signals {
 public:
  using Arrived = std::function<void(int number)>;

  static Result<std::unique_ptr<Signals>> watch(Loop& loop, std::initializer_list<int> numbers,
                                                Arrived arrived);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Block;
  Signals() = default;

  std::vector<std::shared_ptr<Block>> blocks_;
};

}  // namespace jump
