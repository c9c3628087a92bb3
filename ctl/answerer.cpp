#include "ctl/answerer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "ctl/askpass_prompt.h"
#include "ctl/print.h"
#include "ctl/terminal_prompt.h"

namespace jump::ctl {
namespace {

constexpr const char* kNotice = "notice";
constexpr const char* kConfirm = "confirm";

bool is_set(const Answerer::Environment& environment, const char* name) {
  const char* value = environment(name);
  return value != nullptr && *value != '\0';
}

}  // namespace

Answerer::Way Answerer::choose(bool has_terminal, const Environment& environment) {
  bool allowed = is_set(environment, "DISPLAY") || is_set(environment, "WAYLAND_DISPLAY");
  bool preferred = false;
  if (const char* require = environment("SSH_ASKPASS_REQUIRE")) {
    const auto says = [require](const char* word) { return ::strcasecmp(require, word) == 0; };
    if (says("never")) allowed = false;
    if (says("force")) allowed = true;
    preferred = allowed && (says("force") || says("prefer"));
  }
  if (!is_set(environment, "SSH_ASKPASS")) allowed = preferred = false;
  if (preferred) return Way::kAskpass;
  if (has_terminal) return Way::kTerminal;
  return allowed ? Way::kAskpass : Way::kNobody;
}

Answerer::Answerer(bool allowed) {
  if (!allowed) return;
  const auto environment = [](const char* name) { return std::getenv(name); };
  terminal_ = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  way_ = choose(terminal_ >= 0, environment);
  if (way_ == Way::kAskpass) askpass_ = environment("SSH_ASKPASS");
}

Answerer::~Answerer() {
  prompt_.reset();
  if (terminal_ >= 0) ::close(terminal_);
}

// --- from the agent ---

void Answerer::on_notification(const std::string& method, const proto::Json& params) {
  if (!able()) return;
  if (method == proto::notification::kInteraction.name) {
    Result<proto::Interaction> question = proto::decode<proto::Interaction>(params, method);
    if (!question.ok()) return;
    if (question->kind == kNotice) return show_notice(*question);
    waiting_.push_back(*std::move(question));
    begin_next();
  } else if (method == proto::notification::kInteractionEnded.name) {
    Result<proto::InteractionEnded> ended = proto::decode<proto::InteractionEnded>(params, method);
    if (ended.ok()) on_ended(ended->id);
  } else if (method == proto::notification::kNotice.name) {
    Result<proto::Notice> notice = proto::decode<proto::Notice>(params, method);
    if (notice.ok()) show_text(notice->text);
  }
}

void Answerer::on_claimed(const std::string& id, bool granted) {
  if (!current_ || current_->question.id != id) return;  // it has ended meanwhile
  if (granted) return show_next();
  current_.reset();
  begin_next();
}

void Answerer::on_ended(const std::string& id) {
  notices_.erase(id);
  std::erase_if(waiting_, [&id](const proto::Interaction& each) { return each.id == id; });
  if (!current_ || current_->question.id != id) return;
  prompt_.reset();
  current_.reset();
  begin_next();
}

// --- to the person ---

void Answerer::begin_next() {
  if (current_ || waiting_.empty()) return;
  current_ = Current{std::move(waiting_.front()), {}};
  waiting_.pop_front();
  Step claim;
  claim.params.id = current_->question.id;
  steps_.push_back(std::move(claim));
}

void Answerer::show_next() {
  const proto::Interaction& question = current_->question;
  const std::size_t index = current_->answers.size();
  if (index == 0 && way_ == Way::kTerminal) show_text(preamble(question));
  if (index == question.prompts.size()) return finish(Step::Kind::kRespond);
  const proto::InteractionPrompt& wanted = question.prompts[index];
  if (way_ == Way::kTerminal) {
    prompt_ = std::make_unique<TerminalPrompt>(terminal_, wanted.text, wanted.echo);
  } else {
    const auto kind = question.kind == kConfirm ? AskpassPrompt::Kind::kConfirm : AskpassPrompt::Kind::kText;
    prompt_ = std::make_unique<AskpassPrompt>(askpass_, preamble(question) + wanted.text, kind);
    if (prompt_->descriptors().empty()) on_readable();  // nothing to poll: it could not be started
  }
}

void Answerer::finish(Step::Kind kind, std::string reason) {
  Step step;
  step.kind = kind;
  step.params.id = current_->question.id;
  step.reason = std::move(reason);
  if (kind == Step::Kind::kRespond) step.params.answers = std::move(current_->answers);
  steps_.push_back(std::move(step));
  current_.reset();
  begin_next();
}

void Answerer::show_notice(const proto::Interaction& notice) {
  const std::string text = preamble(notice);
  if (way_ == Way::kTerminal) return show_text(text);
  notices_[notice.id] = std::make_unique<AskpassPrompt>(askpass_, text, AskpassPrompt::Kind::kNotice);
}

// What is not asked is not worth a window of an askpass program.
void Answerer::show_text(const std::string& text) {
  if (terminal_ >= 0) show_on_terminal(terminal_, text);
}

std::string Answerer::preamble(const proto::Interaction& question) const {
  std::string out;
  for (const std::string& part : {question.title, question.text}) {
    if (part.empty()) continue;
    out += part;
    if (!part.ends_with('\n')) out += '\n';
  }
  return out;
}

std::vector<int> Answerer::descriptors() const {
  return prompt_ ? prompt_->descriptors() : std::vector<int>{};
}

void Answerer::on_readable() {
  if (!prompt_) return;
  const PersonPrompt::State state = prompt_->proceed();
  if (state == PersonPrompt::State::kWaiting) return;
  if (state == PersonPrompt::State::kAnswered) current_->answers.push_back(prompt_->take_answer());
  std::string why = prompt_->why();
  prompt_.reset();
  if (state == PersonPrompt::State::kAnswered) return show_next();
  finish(Step::Kind::kDecline, std::move(why));
}

void Answerer::end() {
  prompt_.reset();
  current_.reset();
  notices_.clear();
  waiting_.clear();
}

std::optional<Answerer::Step> Answerer::next_step() {
  if (steps_.empty()) return std::nullopt;
  Step step = std::move(steps_.front());
  steps_.pop_front();
  return step;
}

}  // namespace jump::ctl
