// Completion as a person has it: real shells, the scripts of contrib/completions, and a running agent.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "support/eventually.h"
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

// An agent that is late is not waited for at this Tab, and asked again at the next one.
void expect_offered(const std::function<std::string()>& ask, const std::string& wanted) {
  std::string offered;
  EXPECT_TRUE(eventually([&] { return (offered = ask()) == wanted; }, seconds(20)))
      << offered << "--- and not\n"
      << wanted;
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
  const auto agent_offers = [&](const char* line, const char* pieces, const std::string& wanted) {
    expect_offered([&] { return bash_offers(env, line, pieces); }, wanted);
  };
  EXPECT_EQ(bash_offers(env, "jumpctl fo", "jumpctl fo"), "forward\n");
  EXPECT_EQ(bash_offers(env, "jumpctl socks --h", "jumpctl socks --h"), "--help\n--hold\n");
  agent_offers("jumpctl connect b", "jumpctl connect b", "bastion\nbuild\n");
  agent_offers("jumpctl forward --via=bas", "jumpctl forward --via = bas", "bastion\n");
  agent_offers("jumpctl forward --via=", "jumpctl forward --via =", "bastion\nbuild\n");
  agent_offers("jumpctl close ", "jumpctl close ''", id + "\nproxy\n");
  agent_offers("jumpctl disconnect ", "jumpctl disconnect ''", "bastion\n");
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
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--socket", socket, "close", "pr"}, {"close", "--socket=" + socket, "pr"}}) {
    expect_offered(
        [&] {
          const std::string out = complete(words).out;
          return out.substr(0, out.find('\t'));
        },
        "proxy");
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
  // Typed again where the agent was late for the Tab key: nothing was completed, and what was run has failed.
  int typed = 0;
  const auto does = [&](const std::string& line, const std::string& what) {
    return eventually([&] {
      terminal.type(line + "; echo en''ded\n");
      return terminal.shows("ended", ++typed) && terminal.count(what) > 0;
    });
  };
  EXPECT_TRUE(does("jumpctl conn\tbas\t", "bastion: ready")) << terminal.shown();
  EXPECT_TRUE(does("jumpctl socks --vi\tbas\t --name web 0", ", web)")) << terminal.shown();
  EXPECT_TRUE(does("jumpctl clo\tw\t", ", web): closed")) << terminal.shown();
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
  const auto agent_offers = [&](const char* line, const std::string& wanted) {
    expect_offered([&] { return offers(line); }, wanted);
  };
  EXPECT_EQ(offers("jumpctl fo"), "forward\n");
  EXPECT_EQ(offers("jumpctl socks --ho"), "--hold\n");
  agent_offers("jumpctl connect b", "bastion\nbuild\n");
  agent_offers("jumpctl forward --via bas", "bastion\n");
  agent_offers("jumpctl forward --via=bas", "--via=bastion\n");
  agent_offers("jumpctl close ", id + "\nproxy\n");
}

}  // namespace
}  // namespace jump::test
