// Includes point one way: the folders are the data flow, and a folder may name only what lies below it. This
// test reads the #include lines of every source file and fails, with the reason, where one points the wrong
// way. The table is the design; changing it is a decision, not a repair.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace jump {
namespace {

using Folders = std::set<std::string>;

// What each folder may include from, besides itself.
const std::map<std::string, Folders>& allowed() {
  static const std::map<std::string, Folders> table = [] {
    std::map<std::string, Folders> t;
    t["base"] = {};
    t["stream"] = {"base"};
    t["loop"] = {"stream", "base"};
    t["transport"] = {"base"};
    t["channel"] = {"stream", "base"};
    t["auth"] = {"transport", "stream", "base"};
    t["hop"] = {"auth", "channel", "transport", "stream", "base"};
    t["route"] = {"hop", "auth", "channel", "transport", "stream", "base"};
    t["proto"] = {"base"};
    t["forward"] = {"route", "hop", "auth", "channel", "transport", "stream", "base", "proto"};
    t["session"] = t["forward"];
    t["openssh"] = t["forward"];
    t["openssh"].insert({"forward", "session"});
    t["control"] = t["forward"];
    t["doctor"] = t["forward"];
    t["config"] = t["forward"];
    t["config"].insert("forward");
    t["control"].insert({"forward", "session", "config", "doctor", "proto"});
    t["ctl"] = {"proto", "base"};
    return t;
  }();
  return table;
}

// Why, for the failure text.
const std::map<std::string, std::string>& reasons() {
  static const std::map<std::string, std::string> table = {
      {"base", "base stands on nothing but the standard library and fmt, so that everything can stand on it"},
      {"stream", "stream is the interface for bytes and for the outside world; it knows no implementation"},
      {"loop", "loop implements the interfaces of stream over libuv and knows nothing of SSH"},
      {"transport", "transport is sans-IO: bytes in, bytes out, so it needs no stream and no channel"},
      {"channel",
       "channel is pure RFC 4254: it is tested with a scripted peer and knows no transport below it"},
      {"auth", "auth decides how to log in; who is asked and what is dialled is decided above it"},
      {"openssh", "openssh serves stock ssh with what sessions and forwards offer; it knows neither the control socket nor a loop"},
      {"hop", "a hop is one live connection and knows nothing of the list of hops that it is part of"},
      {"route", "a route offers connections; what travels on them is none of its business"},
      {"forward", "a forward asks a route for channels; who asked for the forward is none of its business"},
      {"session", "a session asks a route for channels; who asked for the session is none of its business"},
      {"doctor", "doctor walks routes by connections of its own; who asked it is none of its business"},
      {"config", "config says what is wanted of routes and forwards; it knows no client and no loop"},
      {"control", "control translates requests of the socket; only main.cpp wires it to a loop"},
      {"proto", "proto is shared by the agent and jumpctl, so it can include neither"},
      {"ctl", "jumpctl speaks the protocol only; it must not need the agent's insides"},
  };
  return table;
}

struct Include {
  int line = 0;
  std::string target;  // without the quotes or brackets
  bool system = false;
};

std::vector<Include> includes_of(const std::string& text) {
  std::vector<Include> found;
  std::istringstream in(text);
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line.erase(std::remove_if(line.begin(), line.end(), [](char c) { return c == ' ' || c == '\t'; }),
               line.end());
    const std::string_view directive = "#include";
    if (!line.starts_with(directive) || line.size() < directive.size() + 3) continue;
    const char open = line[directive.size()];
    const std::size_t close = line.find(open == '<' ? '>' : '"', directive.size() + 1);
    if ((open != '<' && open != '"') || close == std::string::npos) continue;
    found.push_back({number, line.substr(directive.size() + 1, close - directive.size() - 1), open == '<'});
  }
  return found;
}

std::string first_part(const std::string& path) {
  const std::size_t slash = path.find('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

// "agent/hop/hop.cpp" -> "hop", "proto/codec.cpp" -> "proto"; empty for the files directly in agent/, the
// wiring.
std::string folder_of(const std::string& path) {
  return path.starts_with("agent/") ? first_part(path.substr(6)) : first_part(path);
}

bool ends_with(const std::string& text, std::string_view end) { return text.ends_with(end); }

// A library that only some files may name; empty: this include is fine.
std::string library_violation(const std::string& path, const std::string& target) {
  const std::string folder = folder_of(path);
  const bool source = ends_with(path, ".cpp");
  if (target == "uv.h" || target.starts_with("uv/")) {
    return folder == "loop"
               ? ""
               : "only agent/loop names libuv: everything else works on any event loop, tests' too";
  }
  if (target.starts_with("libssh2")) {
    return folder == "transport" ? "" : "only agent/transport names libssh2: the seam is one folder";
  }
  if (target == "nlohmann/json_fwd.hpp")
    return folder == "proto" || folder == "control" ? "" : "JSON is proto's";
  if (target.starts_with("nlohmann/")) {
    // ctl/verb.cpp makes the one document of --json out of several answers.
    const bool fine = (folder == "proto" && source) || path == "ctl/verb.cpp";
    return fine ? "" : "JSON is read and written by proto's sources; the rest of the code sees structs";
  }
  if (target.starts_with("spdlog/")) {
    return path == "agent/base/log.cpp"
               ? ""
               : "only base/log.cpp names spdlog: the rest of the code calls base/log.h";
  }
  if (target.starts_with("toml++/")) {
    return path == "agent/config/toml_value.cpp" ? "" : "only config/toml_value.cpp names toml++, which is heavy";
  }
  return {};
}

std::string project_violation(const std::string& path, const std::string& target) {
  if (target.find("..") != std::string::npos)
    return "includes name their folder from the root, not by \"..\"";
  const std::string folder = folder_of(path);
  if (folder.empty()) return {};  // agent/main.cpp and agent/agent.cpp wire everything together
  const std::string to = first_part(target);
  if (to.empty() || to == folder) return {};
  const auto known = allowed().find(folder);
  if (known == allowed().end()) return "folder '" + folder + "' has no place in the table of layers yet";
  if (known->second.contains(to)) return {};
  return reasons().at(folder);
}

// One line per wrong include: "agent/hop/hop.cpp:12: includes "control/server.h": REASON".
std::vector<std::string> violations(const std::string& path, const std::string& text) {
  std::vector<std::string> found;
  for (const Include& include : includes_of(text)) {
    const std::string& target = include.target;
    std::string reason = library_violation(path, target);
    if (reason.empty() && !include.system) reason = project_violation(path, target);
    if (!reason.empty()) {
      found.push_back(path + ":" + std::to_string(include.line) + ": must not include " + target + ": " +
                      reason);
    }
  }
  return found;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

std::vector<std::filesystem::path> sources() {
  std::vector<std::filesystem::path> found;
  const std::filesystem::path root = JUMPAGENT_SOURCE_DIR;
  for (const char* top : {"agent", "proto", "ctl"}) {
    if (!std::filesystem::exists(root / top)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (extension == ".h" || extension == ".cpp") found.push_back(entry.path());
    }
  }
  return found;
}

TEST(Layering, EveryIncludePointsDown) {
  const auto files = sources();
  ASSERT_GT(files.size(), 10u) << "no sources below " << JUMPAGENT_SOURCE_DIR;
  for (const auto& file : files) {
    const std::string path = std::filesystem::relative(file, JUMPAGENT_SOURCE_DIR);
    for (const std::string& violation : violations(path, read(file))) ADD_FAILURE() << violation;
  }
}

TEST(Layering, EveryFolderHasItsPlaceInTheTableAndAReason) {
  for (const auto& file : sources()) {
    const std::string folder = folder_of(std::filesystem::relative(file, JUMPAGENT_SOURCE_DIR));
    EXPECT_TRUE(folder.empty() || allowed().contains(folder)) << folder << ": " << file;
  }
  for (const auto& [folder, below] : allowed()) EXPECT_TRUE(reasons().contains(folder)) << folder;
}

TEST(Layering, TheTableHasNoCycle) {
  for (const auto& [folder, below] : allowed()) {
    EXPECT_FALSE(below.contains(folder));
    for (const std::string& lower : below) {
      EXPECT_FALSE(allowed().at(lower).contains(folder))
          << folder << " and " << lower << " include each other";
    }
  }
}

// --- the checker itself ---

TEST(LayeringChecker, FlagsAnIncludeThatPointsUpWithFileLineAndReason) {
  const auto found =
      violations("agent/hop/hop.cpp", "#include \"hop/hop.h\"\n\n#include \"control/server.h\"\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("agent/hop/hop.cpp:3: must not include control/server.h: "), std::string::npos)
      << found[0];
  EXPECT_NE(found[0].find("knows nothing of the list of hops"), std::string::npos) << found[0];
}

TEST(LayeringChecker, FlagsEveryWrongInclude) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"agent/base/log.h", "#include \"stream/io.h\""},
      {"agent/stream/splice.cpp", "#include \"channel/mux.h\""},
      {"agent/channel/mux.cpp", "#include \"transport/transport.h\""},
      {"agent/transport/transport.cpp", "#include \"stream/byte_stream.h\""},
      {"agent/forward/forward.cpp", "#include \"loop/loop.h\""},
      {"agent/control/server.cpp", "#include \"loop/unix_stream.h\""},
      {"agent/loop/dialer.cpp", "#include \"hop/hop.h\""},
      {"proto/codec.h", "#include \"control/server.h\""},
      {"ctl/main.cpp", "#include \"forward/forward.h\""},
      {"ctl/main.cpp", "#include \"agent/base/log.h\""},
      {"agent/route/route.cpp", "#include \"../forward/forward.h\""},
      {"agent/newcomer/thing.cpp", "#include \"base/result.h\""},
      {"agent/hop/hop.cpp", "#include <uv.h>"},
      {"agent/agent.cpp", "#include <uv.h>"},
      {"agent/hop/hop.cpp", "  #  include <libssh2.h>"},
      {"agent/auth/agent.cpp", "#include <libssh2_publickey.h>"},
      {"agent/forward/forward.cpp", "#include <nlohmann/json.hpp>"},
      {"proto/messages.h", "#include <nlohmann/json.hpp>"},
      {"ctl/print.cpp", "#include <nlohmann/json.hpp>"},
      {"agent/base/log.h", "#include <spdlog/spdlog.h>"},
      {"agent/loop/loop.cpp", "#include <spdlog/spdlog.h>"},
      {"agent/config/agent_config.cpp", "#include <toml++/toml.h>"},
      {"agent/forward/forwards.cpp", "#include \"config/agent_config.h\""},
  };
  for (const auto& [path, line] : wrong) EXPECT_EQ(violations(path, line).size(), 1u) << path << ": " << line;
}

TEST(LayeringChecker, PassesEveryRightInclude) {
  const std::vector<std::pair<std::string, std::string>> right = {
      {"agent/main.cpp", "#include \"loop/loop.h\""},
      {"agent/agent.cpp", "#include \"control/server.h\""},
      {"agent/loop/loop.cpp", "#include <uv.h>"},
      {"agent/transport/seam.cpp", "#include <libssh2.h>"},
      {"agent/transport/seam.cpp", "#include \"seam.h\""},
      {"proto/codec.cpp", "#include <nlohmann/json.hpp>"},
      {"proto/json.h", "#include <nlohmann/json_fwd.hpp>"},
      {"agent/base/log.cpp", "#include <spdlog/spdlog.h>"},
      {"agent/control/methods.cpp", "#include \"proto/codec.h\""},
      {"agent/hop/hop.cpp", "#include <vector>"},
      {"agent/hop/hop.cpp", "// #include \"control/server.h\""},
      {"ctl/main.cpp", "#include \"proto/codec.h\""},
  };
  for (const auto& [path, line] : right) EXPECT_TRUE(violations(path, line).empty()) << path << ": " << line;
}

}  // namespace
}  // namespace jump
