// The log's file: bounds, files that somebody else moves, and what could not be written.
#include "base/log_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "support/temp_dir.h"

namespace jump::log {
namespace {

namespace fs = std::filesystem;
using test::read_file;
using test::TempDir;

constexpr std::size_t kMost = 100;

struct Scene {
  TempDir directory;
  std::string path = directory.file("log");
  LogFile file{path, kMost, 2};
  TimePoint now = Clock::now();

  bool write(const std::string& line) { return file.write(line + "\n", now); }
};

// A full disk, for this process: no file grows beyond `size`.
class FullDisk {
 public:
  explicit FullDisk(rlim_t size) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(LogFile, ItAndItsOldOnesStayWithinTheirBounds) {
  Scene scene;
  ASSERT_TRUE(scene.file.open());
  for (int i = 100; i < 200; ++i) scene.write(std::to_string(i) + std::string(20, '.'));
  EXPECT_TRUE(read_file(scene.path).ends_with("199....................\n"));
  EXPECT_TRUE(fs::exists(scene.path + ".1"));
  EXPECT_TRUE(fs::exists(scene.path + ".2"));
  EXPECT_FALSE(fs::exists(scene.path + ".3"));
  for (const char* suffix : {"", ".1", ".2"}) EXPECT_LE(fs::file_size(scene.path + suffix), kMost);
  // Nothing is missing between them.
  const std::string all = read_file(scene.path + ".2") + read_file(scene.path + ".1") + read_file(scene.path);
  EXPECT_EQ(all.size() % 24, 0u);
  EXPECT_EQ(all.substr(0, 3), std::to_string(200 - all.size() / 24));
  EXPECT_EQ(scene.file.lost(), 0u);
}

TEST(LogFile, ManyLinesAtOnceAreSplitBetweenFiles) {
  Scene scene;
  ASSERT_TRUE(scene.file.open());
  std::string lines;
  for (int i = 100; i < 150; ++i) lines += std::to_string(i) + ".......\n";
  EXPECT_TRUE(scene.file.write(lines, scene.now));
  for (const char* suffix : {"", ".1", ".2"}) EXPECT_LE(fs::file_size(scene.path + suffix), kMost);
  const std::string all = read_file(scene.path + ".2") + read_file(scene.path + ".1") + read_file(scene.path);
  EXPECT_TRUE(lines.ends_with(all));
  EXPECT_GT(all.size(), 2 * kMost - 20);
}

TEST(LogFile, ItGoesOnWhereItWas) {
  Scene scene;
  ASSERT_TRUE(scene.file.open());
  scene.write("one");
  LogFile next(scene.path, kMost, 2);
  ASSERT_TRUE(next.open());
  next.write("two\n", scene.now);
  EXPECT_EQ(read_file(scene.path), "one\ntwo\n");
}

TEST(LogFile, OneThatIsMovedAwayOrRemovedIsMadeAnew) {
  Scene scene;
  ASSERT_TRUE(scene.file.open());
  scene.write("one");
  fs::rename(scene.path, scene.path + ".old");
  scene.now += LogFile::kLookGap;
  scene.write("two");
  fs::remove(scene.path);
  scene.now += LogFile::kLookGap;
  scene.write("three");
  EXPECT_EQ(read_file(scene.path + ".old"), "one\n");
  EXPECT_EQ(read_file(scene.path), "three\n");
}

TEST(LogFile, WithoutItsDirectoryItIsNotThereAndComesBack) {
  Scene scene;
  const std::string directory = scene.directory.make_dir("logs");
  LogFile file(directory + "/log", kMost, 2);
  ASSERT_TRUE(file.open());
  fs::remove_all(directory);
  EXPECT_FALSE(file.write("one\n", scene.now + LogFile::kLookGap));
  scene.directory.make_dir("logs");
  EXPECT_TRUE(file.write("two\n", scene.now + 2 * LogFile::kLookGap));
  EXPECT_EQ(read_file(directory + "/log"), "two\n");
}

TEST(LogFile, OnAFullDiskLinesAreMissingWholeAndThatIsSaid) {
  Scene scene;
  ASSERT_TRUE(scene.file.open());
  scene.write("before");
  {
    FullDisk full(10);
    scene.write("a line that does not fit");
    scene.write("nor does this one");
    EXPECT_EQ(read_file(scene.path), "before\n");
    EXPECT_EQ(scene.file.lost(), 2u);
  }
  scene.write("after");
  EXPECT_EQ(read_file(scene.path), "before\n(2 lines are missing here: File too large)\nafter\n");
  EXPECT_EQ(scene.file.lost(), 2u);
}

TEST(LogFile, WhatIsNoFileIsRefused) {
  LogFile device("/dev/full", kMost, 2);
  const Status opened = device.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kRefused);
}

}  // namespace
}  // namespace jump::log
