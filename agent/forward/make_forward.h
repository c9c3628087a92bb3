// The Forward of the kind that a request asks for.
#pragma once

#include <memory>
#include <string>

#include "forward/forward.h"

namespace jump {

std::unique_ptr<Forward> make_forward(Io& io, Host& host, std::string id, const ForwardRequest& request,
                                      const ForwardLimits& limits);

}  // namespace jump
