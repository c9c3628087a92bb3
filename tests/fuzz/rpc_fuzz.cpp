// Any line must be parsed without harm, as a request and as an answer. What was understood survives the way
// back: an id goes out as it came in, params decode to a message or to an error, and every answer is one line
// of JSON.
#include <cstdlib>

#include "base/bytes.h"
#include "proto/rpc.h"

namespace {

using namespace jump::proto;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_line(const std::string& line) {
  require(line.find('\n') == line.size() - 1);
  require(parse_answer(line).ok());
}

template <class P>
void check_params(const Json& params) {
  const auto decoded = decode_params<P>(params);
  if (!decoded.ok()) return require(!decoded.error().message.empty());
  const auto again = decode_params<P>(encode(*decoded));
  require(again.ok() && encode(*again).dump() == encode(*decoded).dump());
}

void check_request(const Request& request) {
  const std::string again = encode_request(1, request.method, request.params);
  require(std::holds_alternative<Request>(parse_request(again)));
  if (!request.is_notification()) {
    const std::string line = encode_result(request.id, request.params);
    check_line(line);
    require(parse_answer(line)->id == request.id);
  }
  check_line(encode_error("1", method_not_found(request.method)));
  check_params<HelloParams>(request.params);
  check_params<HostConnectParams>(request.params);
  check_params<ForwardOpenParams>(request.params);
  check_params<StatusResult>(request.params);
  check_params<RpcError>(request.params);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line = jump::as_text({data, size});
  const auto parsed = parse_request(line);
  if (const auto* bad = std::get_if<BadRequest>(&parsed)) {
    check_line(encode_error(bad->id, bad->error));
  } else {
    check_request(std::get<Request>(parsed));
  }
  (void)parse_answer(line);
  return 0;
}
