// Terminal modes in the encoding of RFC 4254 section 8.
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <map>

#include "base/fd.h"
#include "base/terminal.h"
#include "base/wire.h"

namespace jump {
namespace {

std::map<int, std::uint32_t> decoded(const Bytes& modes) {
  std::map<int, std::uint32_t> all;
  WireReader in(modes);
  for (int opcode = in.u8(); opcode != 0; opcode = in.u8()) {
    EXPECT_TRUE(in.ok()) << "no end";
    EXPECT_EQ(all.count(opcode), 0U) << opcode << " twice";
    all[opcode] = in.u32();
    if (!in.ok()) break;
  }
  EXPECT_EQ(in.left(), 0U) << "something behind the end";
  return all;
}

TEST(TerminalModes, AreThoseOfTheTerminal) {
  int master = -1, slave = -1;
  const winsize size{31, 97, 970, 620};
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
  const Fd near(master), far(slave);
  termios now{};
  ASSERT_EQ(::tcgetattr(slave, &now), 0);
  now.c_cc[VERASE] = 8;
  now.c_cc[VEOL2] = _POSIX_VDISABLE;
  now.c_iflag |= IUTF8 | IXON;
  now.c_iflag &= ~static_cast<tcflag_t>(ICRNL);
  now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  now.c_cflag = (now.c_cflag & ~static_cast<tcflag_t>(CSIZE)) | CS8;
  cfsetospeed(&now, B9600);
  cfsetispeed(&now, B9600);
  ASSERT_EQ(::tcsetattr(slave, TCSANOW, &now), 0);

  EXPECT_TRUE(is_terminal(slave));
  EXPECT_EQ(terminal_size(slave), (TerminalSize{97, 31, 970, 620}));
  auto modes = decoded(terminal_modes(slave));
  EXPECT_EQ(modes[1], 3U) << "VINTR is Ctrl-C";
  EXPECT_EQ(modes[3], 8U) << "VERASE";
  EXPECT_EQ(modes[7], 255U) << "VEOL2 is off";
  EXPECT_EQ(modes[36], 0U) << "ICRNL";
  EXPECT_EQ(modes[38], 1U) << "IXON";
  EXPECT_EQ(modes[42], 1U) << "IUTF8";
  EXPECT_EQ(modes[50], 1U) << "ISIG";
  EXPECT_EQ(modes[53], 0U) << "ECHO";
  EXPECT_EQ(modes[91], 1U) << "CS8";
  EXPECT_EQ(modes[128], 9600U);
  EXPECT_EQ(modes[129], 9600U);
}

TEST(TerminalModes, OfWhatIsNoTerminalThereAreNone) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd one(ends[0]), two(ends[1]);
  EXPECT_FALSE(is_terminal(one.get()));
  EXPECT_EQ(terminal_size(one.get()), std::nullopt);
  EXPECT_TRUE(terminal_modes(one.get()).empty());
}

TEST(TerminalModes, ThoseThatAClientNamesEndOnce) {
  EXPECT_EQ(encode_terminal_modes({}), Bytes{0});
  EXPECT_EQ(decoded(encode_terminal_modes({{0, 1}, {53, 1}, {159, 7}, {160, 1}, {255, 1}})),
            (std::map<int, std::uint32_t>{{53, 1}, {159, 7}}));
}

}  // namespace
}  // namespace jump
