#include <gtest/gtest.h>

#include "ctl/forward_choice.h"
#include "ctl/specs_here.h"

namespace jump::ctl {
namespace {

using Words = std::vector<std::string>;
using proto::ForwardKind;

proto::ForwardStatus forward(std::string id, std::string kind, std::string spec, std::string name = {},
                             std::string listen = {}) {
  proto::ForwardStatus out;
  out.id = std::move(id);
  out.kind = std::move(kind);
  out.spec = std::move(spec);
  out.name = std::move(name);
  out.listen = std::move(listen);
  return out;
}

const std::vector<proto::ForwardStatus>& scene() {
  static const std::vector<proto::ForwardStatus> all = {
      forward("f1", "local", "8080:svc:80", "web", "127.0.0.1:8080"),
      forward("f2", "remote", "9000:localhost:3000", "", "127.0.0.1:9000"),
      forward("f3", "dynamic", "1080", "proxy", "127.0.0.1:1080"),
      forward("f4", "local", "8000:svc:9000"),
      forward("f5", "local", "8001:svc:9001"),
      forward("f6", "local", "/home/me/app.sock:svc:80"),
      forward("f7", "remote", "9001:/home/me/here.sock"),
      forward("f8", "local", "0:svc:80"),
      forward("f9", "local", "0:svc:80"),
      forward("f10", "remote-dynamic", "7000"),
  };
  return all;
}

// "f1 f2 !not_found": what was chosen, or why not.
std::string chosen(const Words& words) {
  std::string out;
  for (const ForwardChoice& choice : choose_forwards(scene(), words, "/home/me")) {
    out += (out.empty() ? "" : " ") +
           (choice.id.ok() ? *choice.id : std::string("!").append(errc_name(choice.id.error().code)));
  }
  return out;
}

Error refusal(const std::string& word) {
  const auto choices = choose_forwards(scene(), {word}, "/home/me");
  EXPECT_EQ(choices.size(), 1u);
  EXPECT_FALSE(choices.front().id.ok()) << word;
  return choices.front().id.ok() ? Error{} : choices.front().id.error();
}

TEST(ForwardChoice, ByIdNameAndSpecOfEveryKind) {
  EXPECT_EQ(chosen({"f2", "web", "1080"}), "f2 f1 f3");
  EXPECT_EQ(chosen({"8080:svc:http"}), "f1");
  EXPECT_EQ(chosen({"9000:localhost:3000"}), "f2");
  EXPECT_EQ(chosen({"7000"}), "f10");
}

TEST(ForwardChoice, ASpecIsFoundInAnySpelling) {
  EXPECT_EQ(chosen({" 8080:[svc]:80"}), "f1");
  EXPECT_EQ(chosen({"./app.sock:svc:80", "9001:./here.sock"}), "f6 f7");
}

TEST(ForwardChoice, LoopbackAndEveryInterfaceAreTheSameInAnySpelling) {
  const std::vector<proto::ForwardStatus> all = {
      forward("f1", "local", "7001:svc:80", "", "127.0.0.1:7001"),
      forward("f2", "local", "localhost:7002:svc:80"),
      forward("f3", "local", "127.0.0.1:7003:svc:80"),
      forward("f4", "remote", "*:7004:localhost:80"),
      forward("f5", "dynamic", "0.0.0.0:7005"),
      forward("f6", "local", "[::1]:7006:svc:80"),
  };
  const auto id_of = [&all](const std::string& word) {
    const auto choices = choose_forwards(all, {word}, "");
    return choices.size() == 1 && choices[0].id.ok() ? *choices[0].id : std::string();
  };
  for (const std::string bind : {"", "localhost:", "127.0.0.1:"}) {
    EXPECT_EQ(id_of(bind + "7001:svc:80"), "f1") << bind;
    EXPECT_EQ(id_of(bind + "7002:svc:80"), "f2") << bind;
    EXPECT_EQ(id_of(bind + "7003:svc:80"), "f3") << bind;
    for (const char* other : {"7004:localhost:80", "7005", "7006:svc:80", "7001:svc:81"})
      EXPECT_EQ(id_of(bind + other), "") << bind << other;
  }
  for (const std::string bind : {":", "*:", "0.0.0.0:"}) {
    EXPECT_EQ(id_of(bind + "7004:localhost:80"), "f4") << bind;
    EXPECT_EQ(id_of(bind + "7005"), "f5") << bind;
    EXPECT_EQ(id_of(bind + "7001:svc:80"), "") << bind;
  }
}

TEST(ForwardChoice, TheAddressThatWasChosenFindsIt) {
  const std::vector<proto::ForwardStatus> all = [] {
    std::vector<proto::ForwardStatus> two = {forward("f1", "local", "0:svc:80", "", "127.0.0.1:40001"),
                                             forward("f2", "local", "0:svc:80", "", "127.0.0.1:40002")};
    for (proto::ForwardStatus& each : two) each.target = "svc:80";
    return two;
  }();
  const auto choices = choose_forwards(all, {"127.0.0.1:40002:svc:80"}, "");
  ASSERT_EQ(choices.size(), 1u);
  ASSERT_TRUE(choices[0].id.ok()) << choices[0].id.error().message;
  EXPECT_EQ(*choices[0].id, "f2");
  EXPECT_FALSE(choose_forwards(all, {"127.0.0.1:40002:svc:81"}, "").front().id.ok());
}

TEST(ForwardChoice, TheSpellingThatItWasOpenedWithGoesFirst) {
  const std::vector<proto::ForwardStatus> all = {forward("f1", "local", "7001:svc:80"),
                                                 forward("f2", "remote", "127.0.0.1:7001:svc:80")};
  EXPECT_EQ(*choose_forwards(all, {"7001:svc:80"}, "").front().id, "f1");
  EXPECT_EQ(*choose_forwards(all, {"127.0.0.1:7001:svc:80"}, "").front().id, "f2");
  EXPECT_EQ(choose_forwards(all, {"localhost:7001:svc:80"}, "").front().id.error().code, Errc::kInvalid);
}

TEST(ForwardChoice, ARangeIsEachOfItsPorts) {
  EXPECT_EQ(chosen({"8000-8001:svc:9000-9001"}), "f4 f5");
  EXPECT_EQ(chosen({"8000-8002:svc:9000-9002"}), "f4 f5 !not_found");
  const auto choices = choose_forwards(scene(), {"8000-8002:svc:9000-9002"}, "");
  ASSERT_EQ(choices.size(), 3u);
  EXPECT_EQ(choices[2].item, "8002:svc:9002");
}

TEST(ForwardChoice, OneThatIsNamedTwiceIsChosenOnce) {
  EXPECT_EQ(chosen({"f1", "web", "8080:svc:80", "f1"}), "f1");
}

TEST(ForwardChoice, SeveralOfTheSameSpecAreNamed) {
  const Error error = refusal("0:svc:80");
  EXPECT_EQ(error.code, Errc::kInvalid);
  EXPECT_NE(error.message.find("f8, f9"), std::string::npos) << error.message;
}

TEST(ForwardChoice, WhatThereIsNotGetsASuggestionWhereOneIsNear) {
  EXPECT_EQ(refusal("wbe").hint, "did you mean 'web'?");
  EXPECT_EQ(refusal("F3").hint, "did you mean 'f3'?");
  EXPECT_NE(refusal("8080").hint.find("'f1', which listens on 127.0.0.1:8080"), std::string::npos);
  // The neighbour of an id that is gone is somebody else.
  EXPECT_NE(refusal("f99").hint.find("jumpctl list"), std::string::npos);
  EXPECT_NE(refusal("").hint.find("jumpctl list"), std::string::npos);
  EXPECT_EQ(refusal("nothing-like-it").message, "there is no forward 'nothing-like-it'");
}

TEST(SpecsHere, PathsOfThisMachineAreMadeAbsoluteAndNoOthers) {
  const auto text = [](ForwardKind kind, const char* spec) {
    const auto specs = specs_here(kind, spec, "/home/me");
    return specs.ok() ? specs->front().to_string() : specs.error().message;
  };
  EXPECT_EQ(text(ForwardKind::kLocal, "./a.sock:./b.sock"), "/home/me/a.sock:./b.sock");
  EXPECT_EQ(text(ForwardKind::kRemote, "./a.sock:./b.sock"), "./a.sock:/home/me/b.sock");
  EXPECT_EQ(text(ForwardKind::kRemote, "9000:/b.sock"), "9000:/b.sock");
  EXPECT_EQ(text(ForwardKind::kDynamic, "sub/a.sock"), "/home/me/sub/a.sock");
  EXPECT_EQ(text(ForwardKind::kLocal, "8080:svc:http"), "8080:svc:80");
  EXPECT_EQ(specs_here(ForwardKind::kLocal, "./a.sock:svc:80", "/")->front().to_string(), "/a.sock:svc:80");
  EXPECT_TRUE(working_directory().starts_with('/'));
}

}  // namespace
}  // namespace jump::ctl
