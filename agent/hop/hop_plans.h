// What of a HopSpec the host-key check and the login want to know. Pure.
#pragma once

#include "auth/host_key_policy.h"
#include "auth/login_spec.h"
#include "hop/hop_spec.h"

namespace jump {

HostKeySpec host_key_spec(const HopSpec& spec);
LoginSpec login_spec(const HopSpec& spec);

}  // namespace jump
