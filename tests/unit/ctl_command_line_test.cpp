#include <gtest/gtest.h>

#include "ctl/command_line.h"
#include "ctl/usage.h"

namespace jump::ctl {
namespace {

using Words = std::vector<std::string>;

CommandLine parsed(const Words& words) {
  Result<CommandLine> line = parse_command_line(words);
  EXPECT_TRUE(line.ok()) << (line.ok() ? "" : line.error().message);
  return line.ok() ? *line : CommandLine{};
}

// What is wrong with it, wherever that is found.
Error mistake(const Words& words) {
  Result<CommandLine> line = parse_command_line(words);
  if (!line.ok()) return line.error();
  const Status status = check_command_line(*line);
  EXPECT_FALSE(status.ok()) << ::testing::PrintToString(words);
  return status.ok() ? Error{} : status.error();
}

TEST(CommandLine, OptionsStandBeforeAndBehindTheVerb) {
  for (const Words& words : {Words{"--json", "--via", "prod", "forward", "1:a:2", "--timeout=5", "2:a:3"},
                             Words{"forward", "1:a:2", "2:a:3", "--timeout", "5", "--via=prod", "--json"}}) {
    const CommandLine line = parsed(words);
    EXPECT_EQ(line.verb, "forward");
    EXPECT_TRUE(line.options.json);
    EXPECT_EQ(line.options.via, "prod");
    EXPECT_EQ(line.options.timeout, Duration(seconds(5)));
    EXPECT_EQ(line.options.arguments, (Words{"1:a:2", "2:a:3"}));
    EXPECT_TRUE(check_command_line(line).ok());
  }
}

TEST(CommandLine, BehindTwoDashesThereAreNoOptions) {
  const CommandLine line = parsed({"close", "--", "--all", "-x"});
  EXPECT_EQ(line.options.arguments, (Words{"--all", "-x"}));
  EXPECT_FALSE(line.options.all);
  EXPECT_EQ(parsed({"close", "a,b", "-"}).options.arguments, (Words{"a,b", "-"}));
}

TEST(CommandLine, FlagsAreTaken) {
  const CommandLine held =
      parsed({"forward", "--hold", "--prewarm", "3", "--name", "web", "--no-input", "1:a:2"});
  EXPECT_TRUE(held.options.hold);
  EXPECT_EQ(held.options.prewarm, 3u);
  EXPECT_EQ(held.options.name, "web");
  EXPECT_TRUE(held.options.no_input);
  EXPECT_TRUE(parsed({"socks", "--persist", "1080"}).options.persist);
  EXPECT_TRUE(parsed({"close", "--all"}).options.all);
  EXPECT_TRUE(parsed({"-h"}).help);
  EXPECT_TRUE(parsed({"list", "--help"}).help);
  EXPECT_TRUE(parsed({"--version"}).version);
}

TEST(CommandLine, MistakesAreNamedWithTheWayOut) {
  struct Row {
    Words words;
    std::string message, hint;
  };
  const std::vector<Row> rows = {
      {{"foward", "1:a:2"}, "'foward' is not a verb", "did you mean 'forward'?"},
      {{"ls"}, "'ls' is not a verb", "did you mean 'list'?"},
      {{"rm", "f1"}, "'rm' is not a verb", "did you mean 'close'?"},
      {{"ssh", "prod"}, "'ssh' is not a verb", "did you mean 'shell', or 'exec' for a command?"},
      {{"scp", "a", "prod:b"}, "'scp' is not a verb", "try 'jumpctl help ssh-config'"},
      {{"list", "--x"}, "no option '--x'", "try 'jumpctl help'"},
      {{"up"}, "'up' is not a verb", "did you mean 'jumpagent up'?"},
      {{"zzzzzz"}, "'zzzzzz' is not a verb", "jumpctl help"},
      {{""}, "'' is not a verb", "jumpctl help"},
      {{"forward", "--vai", "prod", "1:a:2"}, "no option '--vai'", "did you mean '--via'?"},
      {{"forward", "--presist", "1:a:2"}, "no option '--presist'", "did you mean '--persist'?"},
      {{"--frobnicate", "list"}, "no option '--frobnicate'", "jumpctl help"},
      {{"forward", "--via"}, "--via takes a value", ""},
      {{"forward", "--via", "--hold", "1:a:2"}, "--via takes a value", ""},
      {{"forward", "--via=", "1:a:2"}, "--via takes a value", ""},
      {{"list", "--json=yes"}, "--json takes no value", ""},
      {{"--timeout", "soon", "list"}, "--timeout takes seconds", ""},
      {{"--timeout", "-5", "list"}, "--timeout takes seconds", ""},
      {{"--timeout", "nan", "list"}, "--timeout takes seconds", ""},
      {{"forward", "--prewarm", "65", "1:a:2"}, "at most 64", ""},
      {{"reverse", "--prewarm", "1", "1:a:2"}, "reverse takes no --prewarm", "jumpctl help reverse"},
      {{"list", "--via", "prod", "--hold"}, "list takes no --via and no --hold", ""},
      {{"list", "too-much"}, "list takes no argument: 'too-much'", ""},
      {{"forward"}, "forward takes at least one argument", ""},
      {{"proxy", "svc"}, "proxy takes 2 arguments, and got 1: ", "jumpctl help proxy"},
      {{"proxy"}, "HOST PORT", "jumpctl help proxy"},
      {{"proxy", "svc", "22", "more"}, "no further argument: 'more'", "jumpctl help proxy"},
      {{"close"}, "close takes at least one argument", ""},
      {{"close", "--all", "f1"}, "not both", ""},
      {{"forward", "--name", "web", "1:a:2", "2:a:2"}, "--name to one SPEC only", ""},
      {{"socks", "--hold", "--persist", "1080"}, "(--hold)", "jumpctl help socks"},
  };
  for (const Row& row : rows) {
    const Error error = mistake(row.words);
    EXPECT_NE(error.message.find(row.message), std::string::npos) << error.message;
    EXPECT_NE(error.hint.find(row.hint), std::string::npos) << error.message << ": " << error.hint;
  }
}

TEST(SshHabit, BecomesTheCommandLineThatIsMeant) {
  const std::vector<std::pair<Words, std::string>> rows = {
      {{"-L", "8080:svc:80", "host"}, "jumpctl forward --via host 8080:svc:80"},
      {{"-L8080:svc:80", "host"}, "jumpctl forward --via host 8080:svc:80"},
      {{"-NL", "8080:svc:80", "host"}, "jumpctl forward --via host 8080:svc:80"},
      {{"-fN", "-D", "1080", "host"}, "jumpctl socks --via host 1080"},
      {{"-R", "9000:localhost:3000", "deploy@host"}, "jumpctl reverse --via deploy@host 9000:localhost:3000"},
      {{"forward", "-L", "8080:svc:80", "host"}, "jumpctl forward --via host 8080:svc:80"},
      {{"forward", "--via", "host", "-L", "8080:svc:80"}, "jumpctl forward --via host 8080:svc:80"},
      {{"-p", "2222", "-i", "key", "-L", "1:a:2", "-L", "2:a:3", "host"},
       "jumpctl forward --via host 1:a:2 2:a:3"},
      {{"-L", "1:a:2", "-D", "1080", "host"},
       "jumpctl forward --via host 1:a:2 && jumpctl socks --via host 1080"},
      {{"-L", "[::1]:1:a:2", "host"}, "jumpctl forward --via host '[::1]:1:a:2'"},
      {{"-L", "1:a:2"}, "jumpctl forward 1:a:2"},
      {{"-L"}, ""},
      {{"-v", "host"}, ""},
      {{"forward", "1:a:2"}, ""},
  };
  for (const auto& [words, command] : rows) EXPECT_EQ(from_ssh_habit(words), command);
}

TEST(SshHabit, IsWhatTheErrorSuggests) {
  EXPECT_EQ(mistake({"-L", "8080:svc:80", "host"}).hint,
            "here it is: jumpctl forward --via host 8080:svc:80");
  EXPECT_EQ(mistake({"forward", "-D", "1080"}).hint, "here it is: jumpctl socks 1080");
  EXPECT_NE(mistake({"forward", "-p", "22", "1:a:2"}).hint.find("ssh_config"), std::string::npos);
  EXPECT_NE(mistake({"forward", "-N", "1:a:2"}).hint.find("leave it out"), std::string::npos);
}

TEST(CommandLine, BehindTheHostOfExecEverythingIsTheCommands) {
  for (const Words& words : {Words{"exec", "-tT", "prod", "ls", "-t", "--json", "--", "-x"},
                             Words{"exec", "-t", "-T", "prod", "--", "ls", "-t", "--json", "--", "-x"}}) {
    const CommandLine line = parsed(words);
    EXPECT_TRUE(check_command_line(line).ok());
    EXPECT_FALSE(line.options.json);
    EXPECT_EQ(line.options.tty, Options::Tty::kNo) << "the last one counts";
    EXPECT_EQ(line.options.arguments.front(), "prod");
    EXPECT_EQ(line.options.arguments.back(), "-x");
    EXPECT_EQ(line.options.arguments[1], "ls");
  }
  const CommandLine behind = parsed({"exec", "prod", "-t", "top"});
  EXPECT_EQ(behind.options.tty, Options::Tty::kYes) << "as ssh takes it";
}

TEST(CommandLine, LettersOfSessions) {
  EXPECT_EQ(parsed({"shell", "prod"}).options.tty, Options::Tty::kAuto);
  EXPECT_EQ(parsed({"shell", "-t", "prod"}).options.tty, Options::Tty::kYes);
  EXPECT_EQ(parsed({"shell", "-tt", "prod"}).options.tty, Options::Tty::kForce);
  EXPECT_EQ(parsed({"shell", "-t", "-t", "-t", "prod"}).options.tty, Options::Tty::kForce);
  EXPECT_EQ(parsed({"shell", "prod"}).options.forward_agent, std::nullopt);
  EXPECT_EQ(parsed({"shell", "-A", "prod"}).options.forward_agent, true);
  EXPECT_EQ(parsed({"shell", "-Aa", "prod"}).options.forward_agent, false);
  EXPECT_TRUE(parsed({"exec", "-ns", "prod", "sftp"}).options.no_stdin);
  EXPECT_TRUE(parsed({"exec", "-ns", "prod", "sftp"}).options.subsystem);
  EXPECT_NE(mistake({"shell", "-s", "prod"}).message.find("-s"), std::string::npos);
  EXPECT_NE(mistake({"list", "-t"}).message.find("-t"), std::string::npos);
  EXPECT_NE(mistake({"exec", "-tx", "prod"}).message.find("-"), std::string::npos);
}

TEST(CommandLine, OfProxy) {
  const CommandLine line = parsed({"proxy", "--fdpass", "--via", "prod", "svc", "22"});
  EXPECT_TRUE(check_command_line(line).ok());
  EXPECT_TRUE(line.options.fdpass);
  EXPECT_EQ(line.options.via, "prod");
  EXPECT_EQ(line.options.arguments, (Words{"svc", "22"}));
  (void)mistake({"proxy", "svc"});
  (void)mistake({"proxy", "svc", "22", "more"});
  (void)mistake({"forward", "--fdpass", "1:a:2"});
}

}  // namespace
}  // namespace jump::ctl
