// What a user wants done about host keys, in ssh_config's words.
#pragma once

namespace jump {

enum class StrictHostKeyChecking { kAsk, kYes, kAcceptNew, kNo };  // kNo: "no" and "off"
enum class UpdateHostKeys { kNo, kYes, kAsk };

}  // namespace jump
