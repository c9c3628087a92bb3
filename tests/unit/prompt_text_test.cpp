#include "auth/prompt_text.h"

#include <gtest/gtest.h>

namespace jump {
namespace {

constexpr std::size_t kPlenty = 1000;

TEST(PromptText, LinesAndOtherScriptsStay) {
  EXPECT_EQ(readable_text("Contraseña:\n密码: █▀ 🔑", kPlenty), "Contraseña:\n密码: █▀ 🔑");
  EXPECT_EQ(readable_text("one\r\ntwo\tthree", kPlenty), "one\ntwo three");
  EXPECT_EQ(readable_line("one\r\ntwo", kPlenty), "one two");
}

TEST(PromptText, WhatATerminalWouldActOnGoes) {
  EXPECT_EQ(readable_text("\x1b[2J\x07"
                          "a\x08\x7f",
                          kPlenty),
            "[2Ja");
  EXPECT_EQ(readable_text("\xc2\x9b"
                          "31m",
                          kPlenty),
            "31m");  // CSI in one character
  EXPECT_EQ(readable_text("a\xe2\x80\xae"
                          "b\xe2\x81\xa6"
                          "c\xe2\x80\x8b",
                          kPlenty),
            "abc");  // direction, no width
  EXPECT_EQ(readable_text("a\xf3\xa0\x81\xa1"
                          "b",
                          kPlenty),
            "ab");  // a tag
  EXPECT_EQ(readable_text(std::string_view("a\0b", 3), kPlenty), "ab");
}

TEST(PromptText, WhatIsNoUtf8IsAQuestionMarkAByte) {
  EXPECT_EQ(readable_text("\xff"
                          "a\xc3",
                          kPlenty),
            "?a?");
  EXPECT_EQ(readable_text("\xc0\xaf", kPlenty), "??");            // overlong
  EXPECT_EQ(readable_text("\xed\xa0\x80", kPlenty), "???");       // half a pair
  EXPECT_EQ(readable_text("\xf4\x90\x80\x80", kPlenty), "????");  // beyond the last character
  EXPECT_EQ(readable_text("\xe2\x82", kPlenty), "??");            // cut short
}

TEST(PromptText, IsCutBetweenCharacters) {
  EXPECT_EQ(readable_text("abcdef", 3), "abc...");
  EXPECT_EQ(readable_text("abc", 3), "abc");
  EXPECT_EQ(readable_text("ééé", 3), "éé...");
}

}  // namespace
}  // namespace jump
