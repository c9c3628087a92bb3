// Completion as a person has it: real shells, the scripts of contrib/completions, and a running agent.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/lab.h"
#include "support/on_terminal.h"
#include "support/process.h"

namespace jump::test {
namespace {

const std::string kScripts = JUMPAGENT_SOURCE_DIR "/contrib/completions/";

// Empty when it is not installed.
std::string shell_path(const std::string& name) {
  for (const char* directory : {"/bin/", "/usr/bin/", "/usr/local/bin/"}) {
    if (std::filesystem::exists(directory + name)) return directory + name;
  }
  return {};
}

std::string bin_directory() { return std::filesystem::path(ctl_program()).parent_path(); }

Environment with_programs(Environment env) {
  env["PATH"] = bin_directory() + ":" + env["PATH"];
  env["TERM"] = "dumb";
  return env;
}

// What bash offers when the cursor is at the end of `line`, a line for each. `pieces`: the words as bash cuts
// them, at ':' and '=' as well.
std::string bash_offers(const Environment& env, const std::string& line, const std::string& pieces) {
  const std::string script = "source " + kScripts + "jumpctl.bash\n" +
                             "complete -p jumpctl | grep -q _jumpctl || echo 'not registered'\n"
                             "COMP_LINE='" +
                             line + "' COMP_POINT=" + std::to_string(line.size()) + " COMP_WORDS=(" + pieces +
                             ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n" +
                             "_jumpctl jumpctl\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
  const ProcessResult result =
      run_process({shell_path("bash"), "--norc", "-c", script}, seconds(30), with_programs(env));
  EXPECT_TRUE(result.ok()) << result.describe();
  EXPECT_EQ(result.err, "");
  return result.out;
}

LabOptions with_more_hosts() {
  LabOptions options;
  SshConfigHost pattern;
  pattern.alias = "*.invalid";
  SshConfigHost build;
  build.alias = "build";
  options.other_hosts = {pattern, build};
  return options;
}

TEST(Completion, BashOffersVerbsOptionsHostsAndForwards) {
  if (shell_path("bash").empty()) GTEST_SKIP() << "bash is not installed";
  Lab lab(with_more_hosts());
  const std::string id =
      lab.agent().ctl_json({"socks", "--via", Lab::kBastion, "--name", "proxy", "0"}).at("forward").at("id");
  const Environment& env = lab.agent().environment();
  EXPECT_EQ(bash_offers(env, "jumpctl fo", "jumpctl fo"), "forward\n");
  EXPECT_EQ(bash_offers(env, "jumpctl socks --h", "jumpctl socks --h"), "--help\n--hold\n");
  EXPECT_EQ(bash_offers(env, "jumpctl connect b", "jumpctl connect b"), "bastion\nbuild\n");
  EXPECT_EQ(bash_offers(env, "jumpctl forward --via=bas", "jumpctl forward --via = bas"), "bastion\n");
  EXPECT_EQ(bash_offers(env, "jumpctl forward --via=", "jumpctl forward --via ="), "bastion\nbuild\n");
  EXPECT_EQ(bash_offers(env, "jumpctl close ", "jumpctl close ''"), id + "\nproxy\n");
  EXPECT_EQ(bash_offers(env, "jumpctl disconnect ", "jumpctl disconnect ''"), "bastion\n");
  EXPECT_EQ(bash_offers(env, "jumpctl list x", "jumpctl list x"), "\n");
}

TEST(Completion, ASocketThatIsNamedIsTheOneThatIsAsked) {
  Lab lab;
  lab.agent().ctl_json({"socks", "--via", Lab::kBastion, "--name", "proxy", "0"});
  Environment elsewhere = lab.agent().environment();
  elsewhere["XDG_RUNTIME_DIR"] = lab.directory().make_dir("elsewhere");
  const std::string socket = lab.agent().socket_path();
  const auto complete = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {ctl_program(), "complete"});
    return run_process(words, seconds(30), elsewhere);
  };
  for (const ProcessResult& result :
       {complete({"--socket", socket, "close", "pr"}), complete({"close", "--socket=" + socket, "pr"})}) {
    EXPECT_EQ(result.out.substr(0, result.out.find('\t')), "proxy") << result.describe();
  }
}

TEST(Completion, IsQuietWhereNoAgentRuns) {
  AgentProcess nobody("/nonexistent");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"close", ""},
                                                {"disconnect", ""},
                                                {"--socket", "/nonexistent/socket", "close", "f"}}) {
    std::vector<std::string> all = {"complete"};
    all.insert(all.end(), words.begin(), words.end());
    const ProcessResult result = nobody.ctl(all);
    EXPECT_EQ(result.exit_status, 0) << result.describe();
    EXPECT_EQ(result.out + result.err, "");
  }
}

TEST(Completion, TheProgramPrintsTheScriptsAsTheyAre) {
  AgentProcess nobody("/nonexistent");
  for (const auto& [shell, file] :
       {std::pair{"bash", "jumpctl.bash"}, {"zsh", "_jumpctl"}, {"fish", "jumpctl.fish"}})
    EXPECT_EQ(nobody.ctl({"completion", shell}).out, read_file(kScripts + file)) << shell;
  const ProcessResult unknown = nobody.ctl({"completion", "csh"});
  EXPECT_EQ(unknown.exit_status, 2) << unknown.describe();
}

// The tab key itself: what is completed is run, and does what it says.
void complete_on_terminal(const std::vector<std::string>& shell, const std::string& preparation) {
  Lab lab(with_more_hosts());
  lab.agent();
  OnTerminal terminal(shell, with_programs(lab.agent().environment()));
  terminal.type(preparation + " && echo pre''pared\n");
  ASSERT_TRUE(terminal.shows("prepared")) << terminal.shown();
  terminal.type("jumpctl conn\tbas\t\n");
  EXPECT_TRUE(terminal.shows("bastion: ready")) << terminal.shown();
  terminal.type("jumpctl socks --vi\tbas\t --name web 0\n");
  EXPECT_TRUE(terminal.shows(", web)")) << terminal.shown();
  terminal.type("jumpctl clo\tw\t\n");
  EXPECT_TRUE(terminal.shows(", web): closed")) << terminal.shown();
}

TEST(Completion, BashCompletesAtTheTabKey) {
  if (shell_path("bash").empty()) GTEST_SKIP() << "bash is not installed";
  complete_on_terminal({shell_path("bash"), "--norc", "--noprofile", "-i"},
                       "eval \"$(jumpctl completion bash)\"");
}

TEST(Completion, ZshCompletesAtTheTabKey) {
  if (shell_path("zsh").empty()) GTEST_SKIP() << "zsh is not installed";
  complete_on_terminal({shell_path("zsh"), "-f", "-i"},
                       "autoload -Uz compinit && compinit -u -D && eval \"$(jumpctl completion zsh)\"");
}

TEST(Completion, ZshFindsItAmongItsFunctions) {
  if (shell_path("zsh").empty()) GTEST_SKIP() << "zsh is not installed";
  complete_on_terminal({shell_path("zsh"), "-f", "-i"},
                       "fpath=(" + kScripts + " $fpath) && autoload -Uz compinit && compinit -u -D");
}

TEST(Completion, FishOffersVerbsOptionsHostsAndForwards) {
  if (shell_path("fish").empty()) GTEST_SKIP() << "fish is not installed";
  Lab lab(with_more_hosts());
  const std::string id =
      lab.agent().ctl_json({"socks", "--via", Lab::kBastion, "--name", "proxy", "0"}).at("forward").at("id");
  const auto offers = [&](const std::string& line) {
    const std::string script =
        "jumpctl completion fish | source; complete -C '" + line + "' | string replace -r '\\t.*' ''; true";
    const ProcessResult result = run_process({shell_path("fish"), "--no-config", "-c", script}, seconds(30),
                                             with_programs(lab.agent().environment()));
    EXPECT_TRUE(result.ok()) << result.describe();
    return result.out;
  };
  EXPECT_EQ(offers("jumpctl fo"), "forward\n");
  EXPECT_EQ(offers("jumpctl socks --ho"), "--hold\n");
  EXPECT_EQ(offers("jumpctl connect b"), "bastion\nbuild\n");
  EXPECT_EQ(offers("jumpctl forward --via bas"), "bastion\n");
  EXPECT_EQ(offers("jumpctl forward --via=bas"), "--via=bastion\n");
  EXPECT_EQ(offers("jumpctl close "), id + "\nproxy\n");
}

}  // namespace
}  // namespace jump::test
