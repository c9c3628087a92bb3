// Where a host's options stand in the configuration files. `ssh -G` tells what holds, not what is ignored for
// it; `ssh -G -vvv` tells which files and which Host and Match blocks apply, so the lines in force can be
// read from these. Pure, but for the reading of files, which the caller brings.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace jump {

// The blocks that apply to one host, as ssh said on stderr.
struct AppliedBlocks {
  std::vector<std::string>
      files;  // that apply, what stands before their first block included, as they were read
  std::map<std::string, std::set<int>> blocks;  // file to the lines where its Host or Match that apply stand

  static AppliedBlocks parse(std::string_view debug_output);
};

struct ConfigLine {
  std::string file;
  int line = 0;
  std::string value;
  std::string place() const { return file + ":" + std::to_string(line); }
};

// The first line in force for `option` (in small letters), which is the one that counts, unless its value is
// "none". `read` gives a file's text; nothing when it cannot be read.
using ReadText = std::function<std::optional<std::string>(const std::string& file)>;
std::optional<ConfigLine> find_option(const AppliedBlocks& applied, std::string_view option,
                                      const ReadText& read);

}  // namespace jump
