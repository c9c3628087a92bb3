// The state file: whatever a crash, a full disk or an editor has left of its two copies, the last good list
// is what comes back, and what was wrong is said.
#include "forward/state_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/temp_dir.h"

namespace jump {
namespace {

using test::read_file;
using test::TempDir;
using ::testing::HasSubstr;

ForwardRequest request(ForwardKind kind, const std::string& spec, const std::string& name = {}) {
  Result<ForwardRequest> parsed = ForwardRequest::parse(kind, spec);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  parsed->via = "prod";
  parsed->name = name;
  return *parsed;
}

SavedForwards list_of(std::uint64_t generation, std::size_t count) {
  SavedForwards saved;
  saved.generation = generation;
  for (std::size_t i = 0; i < count; ++i) {
    saved.forwards.push_back(request(ForwardKind::kLocal, std::to_string(8000 + i) + ":svc:80"));
  }
  return saved;
}

std::vector<std::string> specs(const SavedForwards& saved) {
  std::vector<std::string> all;
  for (const ForwardRequest& each : saved.forwards) all.push_back(each.spec);
  return all;
}

class StateFileTest : public testing::Test {
 protected:
  void put(const std::string& path, std::string_view text) { std::ofstream(path) << text; }
  StateFile::Loaded load() {
    Result<StateFile::Loaded> loaded = file_.load();
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return loaded.ok() ? *loaded : StateFile::Loaded{};
  }

  TempDir directory_;
  const std::string path_ = directory_.file("forwards");
  const std::string copy_ = path_ + ".copy";
  StateFile file_{path_};
};

TEST(SavedForwards, EveryKindComesBackAsItWas) {
  SavedForwards saved;
  saved.generation = 7;
  saved.forwards = {request(ForwardKind::kLocal, "8080:svc:80", "web"),
                    request(ForwardKind::kLocal, "/run/a.sock:/run/b.sock"),
                    request(ForwardKind::kLocal, "[::1]:8081:[fe80::1]:80"),
                    request(ForwardKind::kRemote, "*:9000:localhost:80"),
                    request(ForwardKind::kRemote, "/run/there.sock:/run/here.sock"),
                    request(ForwardKind::kRemote, "9001"),
                    request(ForwardKind::kDynamic, "1080")};
  saved.forwards[0].prewarm = 3;
  saved.forwards[0].via_rule = "default_via";
  Result<SavedForwards> back = decode_saved(encode_saved(saved));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->generation, 7u);
  ASSERT_EQ(back->forwards.size(), saved.forwards.size());
  for (std::size_t i = 0; i < saved.forwards.size(); ++i) {
    EXPECT_TRUE(back->forwards[i].same_wish(saved.forwards[i])) << saved.forwards[i].spec;
    EXPECT_EQ(back->forwards[i].via_rule, saved.forwards[i].via_rule);
  }
}

TEST(SavedForwards, APortThatWasChosenIsKeptBesideTheSpec) {
  SavedForwards saved;
  saved.forwards = {request(ForwardKind::kLocal, "0:svc:80")};
  saved.forwards[0].listen.port = 40123;
  Result<SavedForwards> back = decode_saved(encode_saved(saved));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->forwards[0].listen.port, 40123);
  EXPECT_EQ(back->forwards[0].spec, saved.forwards[0].spec);
}

TEST(SavedForwards, AnyChangeOfAByteIsNoticed) {
  const std::string good = encode_saved(list_of(3, 2));
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_FALSE(decode_saved(bad).ok()) << "byte " << at;
  }
}

TEST(SavedForwards, EveryCutIsNoticedAndSaysWhat) {
  const std::string good = encode_saved(list_of(3, 2));
  for (std::size_t size = 0; size < good.size(); ++size) {
    Result<SavedForwards> cut = decode_saved(std::string_view(good).substr(0, size));
    ASSERT_FALSE(cut.ok()) << "cut to " << size;
    EXPECT_THAT(cut.error().message, HasSubstr(size == 0 ? "empty" : "cut short")) << "cut to " << size;
  }
  EXPECT_FALSE(decode_saved(good + "x").ok());
  EXPECT_THAT(decode_saved("#!/bin/sh\n").error().message, HasSubstr("no state file"));
}

TEST_F(StateFileTest, NoFileIsNothingSavedAndNoProblem) {
  const StateFile::Loaded loaded = load();
  EXPECT_TRUE(loaded.saved.forwards.empty());
  EXPECT_EQ(loaded.problem, "");
}

TEST_F(StateFileTest, WhatWasSavedIsLoadedAndPrivate) {
  ASSERT_TRUE(file_.save(list_of(1, 2)).ok());
  ASSERT_TRUE(file_.save(list_of(2, 3)).ok());
  const StateFile::Loaded loaded = load();
  EXPECT_EQ(loaded.saved.forwards.size(), 3u);
  EXPECT_EQ(loaded.saved.generation, 2u);
  EXPECT_EQ(loaded.problem, "");
  for (const std::string& path : {path_, copy_}) {
    struct stat made {};
    ASSERT_EQ(stat(path.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 0777, 0600u);
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

// A crash between the two leaves an old and a new list; a cut in one of them leaves the other.
TEST_F(StateFileTest, ACutAtAnyByteOfEitherFileLeavesTheOther) {
  for (const std::string& victim : {path_, copy_}) {
    ASSERT_TRUE(file_.save(list_of(5, 2)).ok());
    const std::string good = read_file(victim);
    for (std::size_t size = 0; size < good.size(); ++size) {
      put(victim, good.substr(0, size));
      const StateFile::Loaded loaded = load();
      ASSERT_EQ(specs(loaded.saved), specs(list_of(5, 2))) << victim << " cut to " << size;
      ASSERT_THAT(loaded.problem, HasSubstr(victim + ": "));
      ASSERT_THAT(loaded.problem, HasSubstr("used instead: the last good list, of 2 forwards"));
      ASSERT_EQ(read_file(victim + ".damaged"), good.substr(0, size));
    }
  }
}

TEST_F(StateFileTest, ACutOfTheNewerLeavesTheOlderAndOfTheOlderTheNewer) {
  const std::string older = encode_saved(list_of(5, 1)), newer = encode_saved(list_of(6, 2));
  for (std::size_t size = 0; size < newer.size(); ++size) {
    put(path_, newer.substr(0, size));
    put(copy_, older);
    ASSERT_EQ(load().saved.forwards.size(), 1u) << "cut to " << size;
  }
  for (std::size_t size = 0; size < older.size(); ++size) {
    put(path_, newer);
    put(copy_, older.substr(0, size));
    ASSERT_EQ(load().saved.forwards.size(), 2u) << "cut to " << size;
  }
}

TEST_F(StateFileTest, OfTwoGoodOnesTheNewerCountsWhicheverItIs) {
  put(path_, encode_saved(list_of(5, 1)));
  put(copy_, encode_saved(list_of(6, 2)));
  EXPECT_EQ(load().saved.generation, 6u);
  put(path_, encode_saved(list_of(7, 3)));
  EXPECT_EQ(load().saved.generation, 7u);
}

TEST_F(StateFileTest, BothCutAtAnyByteIsNothingKnownAndSaid) {
  const std::string good = encode_saved(list_of(5, 2));
  for (std::size_t size = 0; size < good.size(); ++size) {
    put(path_, good.substr(0, size));
    put(copy_, good.substr(0, good.size() - 1 - size));
    const StateFile::Loaded loaded = load();
    ASSERT_TRUE(loaded.saved.forwards.empty());
    ASSERT_THAT(loaded.problem, HasSubstr("there is no good copy"));
  }
}

TEST_F(StateFileTest, OneMissingFileIsMadeUpForByTheOther) {
  ASSERT_TRUE(file_.save(list_of(5, 2)).ok());
  std::filesystem::remove(path_);
  EXPECT_EQ(load().saved.forwards.size(), 2u);
  ASSERT_TRUE(file_.save(list_of(6, 3)).ok());
  std::filesystem::remove(copy_);
  EXPECT_EQ(load().saved.forwards.size(), 3u);
}

TEST_F(StateFileTest, GarbageIsSaidAndKeptAside) {
  put(path_, std::string(100000, '\0') + "garbage");
  put(copy_, encode_saved(list_of(5, 2)));
  const StateFile::Loaded loaded = load();
  EXPECT_EQ(loaded.saved.forwards.size(), 2u);
  EXPECT_THAT(loaded.problem, HasSubstr(path_ + ": it is no state file"));
  EXPECT_EQ(std::filesystem::file_size(path_ + ".damaged"), 100007u);
}

TEST_F(StateFileTest, AFileLargerThanAnyOfOursIsNotTakenIn) {
  put(path_, "");
  std::filesystem::resize_file(path_, StateFile::kMaxSize + 1);
  put(copy_, encode_saved(list_of(5, 2)));
  const StateFile::Loaded loaded = load();
  EXPECT_EQ(loaded.saved.forwards.size(), 2u);
  EXPECT_THAT(loaded.problem, HasSubstr(path_ + ": it is larger than any state file of ours"));
  EXPECT_FALSE(std::filesystem::exists(path_)) << "moved aside";
  EXPECT_TRUE(std::filesystem::exists(path_ + ".damaged"));
}

TEST_F(StateFileTest, AFailedSaveNamesTheFileAndLeavesTheLastOne) {
  ASSERT_TRUE(file_.save(list_of(5, 2)).ok());
  // What is to be written aside cannot be: even root cannot write to a directory as to a file.
  std::filesystem::create_directory(path_ + ".new");
  const Status saved = file_.save(list_of(6, 3));
  ASSERT_FALSE(saved.ok());
  EXPECT_THAT(saved.error().message, HasSubstr(path_ + ".new: "));
  EXPECT_EQ(load().saved.generation, 5u);
}

TEST_F(StateFileTest, OneProcessHasItAtATimeAndItsDirectoryIsMade) {
  StateFile file(directory_.file("sub/dir/forwards"));
  {
    Result<Fd> first = file.lock();
    ASSERT_TRUE(first.ok()) << first.error().message;
    Result<Fd> second = file.lock();
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Errc::kInUse);
    EXPECT_THAT(second.error().hint, HasSubstr("jumpagent --state FILE"));
  }
  EXPECT_TRUE(file.lock().ok());
}

}  // namespace
}  // namespace jump
