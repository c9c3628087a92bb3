#include "forward/make_forward.h"

#include <utility>

#include "forward/dynamic_forward.h"
#include "forward/local_forward.h"
#include "forward/remote_forward.h"

namespace jump {

std::unique_ptr<Forward> make_forward(Io& io, Host& host, std::string id, const ForwardRequest& request,
                                      const ForwardLimits& limits) {
  switch (request.kind) {
    case ForwardKind::kLocal:
      return std::make_unique<LocalForward>(io, host, std::move(id), request, limits);
    case ForwardKind::kDynamic:
      return std::make_unique<DynamicForward>(io, host, std::move(id), request, limits);
    case ForwardKind::kRemote:
    case ForwardKind::kRemoteDynamic:
      break;
  }
  return std::make_unique<RemoteForward>(io, host, std::move(id), request, limits);
}

}  // namespace jump
