// What is asked for, from a SPEC: which end is where, what listens on what, and when two are the same wish.
#include "forward/forward_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace jump {
namespace {

using ::testing::HasSubstr;

ForwardRequest parsed(ForwardKind kind, const std::string& spec) {
  Result<ForwardRequest> request = ForwardRequest::parse(kind, spec);
  EXPECT_TRUE(request.ok()) << spec << ": " << request.error().message;
  return request.ok() ? *request : ForwardRequest{};
}

TEST(ForwardRequest, WithoutAnAddressItListensOnLoopbackOnly) {
  const ForwardRequest local = parsed(ForwardKind::kLocal, "8080:svc:80");
  EXPECT_EQ(local.listen, (Endpoint{"localhost", 8080, {}}));
  EXPECT_EQ(local.target, (Endpoint{"svc", 80, {}}));
  EXPECT_EQ(parsed(ForwardKind::kDynamic, "1080").listen, (Endpoint{"localhost", 1080, {}}));
  EXPECT_EQ(parsed(ForwardKind::kRemote, "9000:svc:80").listen, (Endpoint{"localhost", 9000, {}}));
  EXPECT_EQ(parsed(ForwardKind::kLocal, "*:8080:svc:80").listen.host, "*");
  EXPECT_EQ(parsed(ForwardKind::kLocal, ":8080:svc:80").listen.host, "*");
}

TEST(ForwardRequest, ARemoteOneWithoutATargetIsDynamicThere) {
  const ForwardRequest request = parsed(ForwardKind::kRemote, "9000");
  EXPECT_EQ(request.kind, ForwardKind::kRemoteDynamic);
  EXPECT_FALSE(request.target);
  EXPECT_TRUE(request.listens_there());
  EXPECT_FALSE(request.far_target());
}

TEST(ForwardRequest, OnlyWhatIsReachedFromTheHostIsAFarTarget) {
  EXPECT_TRUE(parsed(ForwardKind::kLocal, "8080:svc:80").far_target());
  EXPECT_FALSE(parsed(ForwardKind::kRemote, "9000:svc:80").far_target());
  EXPECT_FALSE(parsed(ForwardKind::kDynamic, "1080").far_target());
}

// The agent's working directory is nobody's; there, it is the user's home as the server sees it.
TEST(ForwardRequest, APathHereIsAbsolute) {
  EXPECT_FALSE(ForwardRequest::parse(ForwardKind::kLocal, "./a.sock:svc:80").ok());
  EXPECT_FALSE(ForwardRequest::parse(ForwardKind::kRemote, "9000:./a.sock").ok());
  EXPECT_THAT(ForwardRequest::parse(ForwardKind::kLocal, "./a.sock:svc:80").error().message,
              HasSubstr("absolute"));
  EXPECT_TRUE(ForwardRequest::parse(ForwardKind::kLocal, "8080:./there.sock").ok());
  EXPECT_TRUE(ForwardRequest::parse(ForwardKind::kRemote, "./there.sock:/here.sock").ok());
}

TEST(ForwardRequest, ARangeOfPortsIsSeveralForwards) {
  auto all = ForwardRequest::parse_all(ForwardKind::kLocal, "8000-8010:svc:9000-9010");
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 11u);
  EXPECT_EQ(all->back().listen.port, 8010);
  EXPECT_EQ(all->back().target->port, 9010);
  EXPECT_EQ(parsed(ForwardKind::kLocal, all->back().spec).listen.port, 8010) << "each spec is one by itself";
  EXPECT_FALSE(ForwardRequest::parse(ForwardKind::kLocal, "8000-8010:svc:9000-9010").ok());
}

TEST(ForwardRequest, AnyPortIsPortZeroAndNeverAPath) {
  EXPECT_TRUE(parsed(ForwardKind::kLocal, "0:svc:80").any_port());
  EXPECT_FALSE(parsed(ForwardKind::kLocal, "/a.sock:svc:80").any_port());
}

TEST(ForwardRequest, TheSameWishHasTheSameEndsHostAndName) {
  const ForwardRequest wish = parsed(ForwardKind::kLocal, "8080:svc:80");
  ForwardRequest other = parsed(ForwardKind::kLocal, "localhost:8080:svc:80");
  other.spec = wish.spec;
  EXPECT_EQ(wish.listen, other.listen);
  other.via_rule = "default_via";
  other.timeout = seconds(1);
  EXPECT_TRUE(wish.same_wish(other));
  other.name = "web";
  EXPECT_FALSE(wish.same_wish(other));
  other = wish;
  other.via = "elsewhere";
  EXPECT_FALSE(wish.same_wish(other));
  other = wish;
  other.prewarm = 1;
  EXPECT_FALSE(wish.same_wish(other));
}

TEST(ForwardRequest, ANameIsNotAnIdAndFitsATable) {
  EXPECT_TRUE(check_forward_name("web").ok());
  EXPECT_TRUE(check_forward_name("").ok());
  EXPECT_TRUE(check_forward_name("f").ok());
  EXPECT_TRUE(check_forward_name("f1x").ok());
  EXPECT_FALSE(check_forward_name("f1").ok());
  EXPECT_FALSE(check_forward_name("a\nb").ok());
  EXPECT_FALSE(check_forward_name(std::string(65, 'a')).ok());
}

}  // namespace
}  // namespace jump
