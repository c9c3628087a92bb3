#include "base/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/descriptor_kind.h"
#include "base/wire.h"

namespace jump {
namespace {

// RFC 4254 section 8, and 42 (IUTF8) of RFC 8160.
constexpr std::uint8_t kEnd = 0, kInputSpeed = 128, kOutputSpeed = 129;

struct Character {
  std::uint8_t opcode;
  std::uint8_t index;
};
constexpr std::array kCharacters{
    Character{1, VINTR},   Character{2, VQUIT},     Character{3, VERASE},    Character{4, VKILL},
    Character{5, VEOF},    Character{6, VEOL},      Character{7, VEOL2},     Character{8, VSTART},
    Character{9, VSTOP},   Character{10, VSUSP},    Character{12, VREPRINT}, Character{13, VWERASE},
    Character{14, VLNEXT}, Character{18, VDISCARD},
};

struct Flag {
  std::uint8_t opcode;
  tcflag_t bit;
};
constexpr std::array kInput{Flag{30, IGNPAR}, Flag{31, PARMRK}, Flag{32, INPCK}, Flag{33, ISTRIP},
                            Flag{34, INLCR},  Flag{35, IGNCR},  Flag{36, ICRNL}, Flag{37, IUCLC},
                            Flag{38, IXON},   Flag{39, IXANY},  Flag{40, IXOFF}, Flag{41, IMAXBEL},
                            Flag{42, IUTF8}};
constexpr std::array kLocal{Flag{50, ISIG},   Flag{51, ICANON}, Flag{52, XCASE},   Flag{53, ECHO},
                            Flag{54, ECHOE},  Flag{55, ECHOK},  Flag{56, ECHONL},  Flag{57, NOFLSH},
                            Flag{58, TOSTOP}, Flag{59, IEXTEN}, Flag{60, ECHOCTL}, Flag{61, ECHOKE},
                            Flag{62, PENDIN}};
constexpr std::array kOutput{Flag{70, OPOST}, Flag{71, OLCUC}, Flag{72, ONLCR},
                             Flag{73, OCRNL}, Flag{74, ONOCR}, Flag{75, ONLRET}};
constexpr std::array kControl{Flag{90, CS7}, Flag{91, CS8}, Flag{92, PARENB}, Flag{93, PARODD}};

// A speed_t is a code, not a number.
std::uint32_t baud(speed_t code) {
  static constexpr std::array<std::pair<speed_t, std::uint32_t>, 19> kSpeeds{{
      {B50, 50},       {B75, 75},         {B110, 110},       {B134, 134},     {B150, 150},
      {B200, 200},     {B300, 300},       {B600, 600},       {B1200, 1200},   {B1800, 1800},
      {B2400, 2400},   {B4800, 4800},     {B9600, 9600},     {B19200, 19200}, {B38400, 38400},
      {B57600, 57600}, {B115200, 115200}, {B230400, 230400}, {B0, 0},
  }};
  for (const auto& [known, number] : kSpeeds) {
    if (known == code) return number;
  }
  return 38400;
}

template <class Flags>
void add_flags(std::map<std::uint8_t, std::uint32_t>& modes, const Flags& flags, tcflag_t value) {
  for (const Flag& flag : flags) modes[flag.opcode] = (value & flag.bit) == flag.bit ? 1 : 0;
}

}  // namespace

bool is_terminal(int fd) {
  const std::optional<DescriptorKind> kind = descriptor_kind(fd);
  return kind && S_ISCHR(kind->mode) && isatty(fd) == 1;
}

std::optional<TerminalSize> terminal_size(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return std::nullopt;
  return TerminalSize{size.ws_col, size.ws_row, size.ws_xpixel, size.ws_ypixel};
}

std::map<std::uint8_t, std::uint32_t> read_terminal_modes(int fd) {
  std::map<std::uint8_t, std::uint32_t> modes;
  termios now{};
  if (tcgetattr(fd, &now) != 0) return modes;
  modes[kOutputSpeed] = baud(cfgetospeed(&now));
  modes[kInputSpeed] = baud(cfgetispeed(&now));
  for (const Character& each : kCharacters) {
    const cc_t value = now.c_cc[each.index];
    modes[each.opcode] = value == _POSIX_VDISABLE ? 255 : value;
  }
  add_flags(modes, kInput, now.c_iflag);
  add_flags(modes, kLocal, now.c_lflag);
  add_flags(modes, kOutput, now.c_oflag);
  add_flags(modes, kControl, now.c_cflag);
  return modes;
}

Bytes terminal_modes(int fd) {
  const std::map<std::uint8_t, std::uint32_t> modes = read_terminal_modes(fd);
  return modes.empty() ? Bytes() : encode_terminal_modes(modes);
}

Bytes encode_terminal_modes(const std::map<std::uint8_t, std::uint32_t>& modes) {
  WireWriter out;
  for (const auto& [opcode, value] : modes) {
    if (opcode != kEnd && opcode < 160) out.u8(opcode).u32(value);  // what is beyond has another shape
  }
  out.u8(kEnd);
  return out.take();
}

}  // namespace jump
