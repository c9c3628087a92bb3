#include "base/safe_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/temp_dir.h"

namespace jump {
namespace {

class SafeDirectory : public testing::Test {
 protected:
  std::string make(const std::string& name, mode_t mode = 0755) {
    const std::string path = directory_.make_dir(name);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  void expect_refused(const std::string& path, const std::string& part) {
    const Status result = check_safe_directory(path);
    ASSERT_FALSE(result.ok()) << path;
    EXPECT_EQ(result.error().code, Errc::kRefused) << result.error().message;
    EXPECT_EQ(result.error().message.find(part + " "), 0U) << result.error().message;
  }
  void expect_fine(const std::string& path) {
    const Status result = check_safe_directory(path);
    EXPECT_TRUE(result.ok()) << path << ": " << result.error().message;
  }

  test::TempDir directory_;
};

TEST_F(SafeDirectory, IsOneThatNobodyElseCanWriteToUpToTheRoot) {
  const std::string own = make("own");
  for (const std::string& fine :
       {std::string("/"), own, make("own/below"), own + "/", own + "/./below/../below"})
    expect_fine(fine);
}

TEST_F(SafeDirectory, IsNotOneThatOthersCanWriteTo) {
  const std::string open = make("open", 0777);
  for (const mode_t mode : {0777, 0770, 0702}) {
    ASSERT_EQ(::chmod(open.c_str(), mode), 0);
    expect_refused(open, open);
    EXPECT_EQ(check_safe_directory(open).error().hint, "chmod go-w " + open);
  }
}

TEST_F(SafeDirectory, IsNotOneBelowADirectoryThatOthersCanWriteTo) {
  const std::string open = make("open", 0777), below = make("open/below"), deep = make("open/below/deep");
  expect_refused(deep, open);
  ASSERT_EQ(::chmod(open.c_str(), 01777), 0);
  expect_fine(deep);
}

TEST_F(SafeDirectory, IsNotReachedByALinkThatOthersCanReplace) {
  const std::string open = make("open", 0777), own = make("own");
  const std::string link = open + "/link", own_link = own + "/link", relative = own + "/relative";
  ASSERT_EQ(::symlink(own.c_str(), link.c_str()), 0);
  ASSERT_EQ(::symlink(link.c_str(), own_link.c_str()), 0);
  ASSERT_EQ(::symlink("../own/.", relative.c_str()), 0);
  expect_refused(link, open);
  expect_refused(own_link, open);
  expect_fine(relative);
  ASSERT_EQ(::chmod(open.c_str(), 01777), 0);
  expect_fine(own_link);
}

TEST_F(SafeDirectory, IsNotOneOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  const std::string own = make("own"), other = make("own/other"), below = make("own/other/below");
  const std::string link = own + "/link";
  ASSERT_EQ(::chown(other.c_str(), 12345, 12345), 0);
  expect_refused(below, other);
  ASSERT_EQ(::symlink("/tmp", link.c_str()), 0);
  ASSERT_EQ(::lchown(link.c_str(), 12345, 12345), 0);
  expect_refused(link, link);
}

TEST_F(SafeDirectory, IsADirectoryThatIsThere) {
  const std::string own = make("own"), file = directory_.write("own/file", ""), loop = own + "/loop";
  ASSERT_EQ(::symlink(loop.c_str(), loop.c_str()), 0);
  for (const std::string& none :
       {std::string(), std::string("own"), file, own + "/none", file + "/below", loop}) {
    const Status result = check_safe_directory(none);
    ASSERT_FALSE(result.ok()) << none;
    EXPECT_EQ(result.error().code, Errc::kInvalid) << result.error().message;
  }
}

}  // namespace
}  // namespace jump
