// jumpctl proxy: a connection for ssh's ProxyCommand. The agent gets stdin and stdout, and this program waits
// for the end; with --fdpass ssh gets one end of a socket pair and the agent the other, and nothing stays in
// between.
#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/fd.h"
#include "ctl/output.h"
#include "ctl/verb.h"

namespace jump::ctl {
namespace {

Result<proto::StreamOpenParams> params_of(const Options& options) {
  proto::StreamOpenParams params;
  params.host = options.arguments.at(0);
  const std::string& port = options.arguments.at(1);
  std::uint16_t number = 0;
  const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (failed != std::errc() || end != port.data() + port.size() || number == 0)
    return Error{Errc::kInvalid, fmt::format("'{}' is no port, which is a number from 1 to 65535", port), {}};
  params.port = number;
  params.via = options.via;
  params.detach = options.fdpass;
  params.timeout = to_seconds(options.timeout_or(kLoginTimeout));
  return params;
}

Status hand_to_ssh(int descriptor) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(STDOUT_FILENO, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent == 1) return {};
  return Error{Errc::kClosed, fmt::format("cannot pass the connection on: {}", std::strerror(errno)), {}};
}

bool is_socket(int descriptor) {
  int type = 0;
  socklen_t length = sizeof(type);
  return ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

Result<proto::StreamOpenResult> open_stream(const Options& options, Result<Client>* client,
                                            Answerer& answerer, const proto::StreamOpenParams& params,
                                            const std::vector<int>& descriptors) {
  const Duration timeout = options.timeout_or(kLoginTimeout) + kGrace;
  auto stream = ask_heir_too(options, &answerer, client, [&](Client& agent) {
    return agent.call_passing(proto::method::kStreamOpen, params, descriptors, timeout);
  });
  answerer.end();
  return stream;
}

int pass_on(const Options& options, Result<Client>* client, Answerer& answerer,
            const proto::StreamOpenParams& params) {
  if (!is_socket(STDOUT_FILENO)) {
    return fail(options,
                Error{Errc::kInvalid, "--fdpass passes the connection over stdout, which is no socket here",
                      "it is for ssh: ProxyUseFdpass yes"},
                kExitUsage);
  }
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(options, Error{Errc::kInternal, fmt::format("socketpair: {}", std::strerror(errno)), {}},
                kExitSsh);
  const Fd ours(ends[0]), theirs(ends[1]);
  const auto stream = open_stream(options, client, answerer, params, {ours.get()});
  if (!stream.ok()) return fail(options, stream.error(), kExitSsh);
  if (Status passed = hand_to_ssh(theirs.get()); !passed.ok()) return fail(options, passed.error(), kExitSsh);
  return kExitDone;
}

int carry(const Options& options, Result<Client>* client, Answerer& answerer,
          const proto::StreamOpenParams& params) {
  const auto stream = open_stream(options, client, answerer, params, {STDIN_FILENO, STDOUT_FILENO});
  if (!stream.ok()) return fail(options, stream.error(), kExitSsh);
  std::vector<proto::Answer> said = (*client)->take_asides();
  while (true) {
    for (const proto::Answer& each : said) {
      if (each.method != proto::notification::kStreamEnded.name) continue;
      const auto end = proto::decode_params<proto::StreamEnded>(each.result);
      if (!end.ok() || end->stream != stream->stream) continue;
      if (!end->error) return kExitDone;
      return fail(options, Error{Errc::kClosed, end->error->message, end->error->hint}, kExitSsh);
    }
    said.clear();
    std::string_view line;
    if (Status status = (*client)->next_line_or({}, &line); !status.ok())
      return fail(options, Error{Errc::kClosed, "the agent has ended, and the connection with it", {}},
                  kExitSsh);
    if (Result<proto::Answer> answer = proto::parse_answer(line); answer.ok())
      said.push_back(*std::move(answer));
  }
}

}  // namespace

int open_proxy(const Options& options) {
  const Result<proto::StreamOpenParams> params = params_of(options);
  if (!params.ok()) return fail(options, params.error(), kExitUsage, proto::kInvalidParams);
  Answerer answerer(!options.no_input);
  Result<Client> client = connect_client(options, &answerer);
  if (!client.ok()) return fail(options, client.error(), exit_unconnected(client.error()));
  return options.fdpass ? pass_on(options, &client, answerer, *params)
                        : carry(options, &client, answerer, *params);
}

}  // namespace jump::ctl
