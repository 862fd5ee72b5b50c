// SPDX-License-Identifier: Apache-2.0
// The operator's DNS files as they are now, so that a root key that was rolled, or another answer in unbound_conf, is taken up under the
// same name.
#pragma once
#include "net/file_mark.h"
#include "resolver/options.h"

namespace hoplock::resolver {

using net::FileMark, net::FileMarks;

// The trust anchor, the root hints, unbound_conf, and what the latter includes or names as anchors and hints; at most 100 files.
FileMarks marks_of(const Options& options);

}  // namespace hoplock::resolver
