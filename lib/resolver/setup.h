// SPDX-License-Identifier: Apache-2.0
// A libunbound context made from our options: the operator's own file first, then what hoplock's promises rest on. Nothing here
// asks the network.
#pragma once
#include <unbound.h>

#include <memory>

#include "base/result.h"
#include "dns/name.h"
#include "resolver/options.h"

namespace hoplock::resolver {

struct Release {
  void operator()(ub_ctx* context) const { ub_ctx_delete(context); }
};
using ContextPtr = std::unique_ptr<ub_ctx, Release>;

// Its worker is a thread, started here. Errors name the file and what is wrong with it.
Result<ContextPtr> make_context(const Options& options);

// The zone whose anchor stands in the file: the root's if it is there, else the first one's; the root for a file without any.
Result<dns::Name> anchor_zone(const std::string& trust_anchor);

}  // namespace hoplock::resolver
