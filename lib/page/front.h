// SPDX-License-Identifier: Apache-2.0
// The front of the status page: one sentence, what wants a hand, the figures, where mail waits, the last hour. Pure.
#pragma once
#include <string>

#include "page/verdict.h"

namespace hoplock::page {

// `pictures` is HTML, or "".
std::string to_html(const View& view, const std::string& pictures);

}  // namespace hoplock::page
