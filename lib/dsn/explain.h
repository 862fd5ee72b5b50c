// SPDX-License-Identifier: Apache-2.0
// What a refusal means for a person who reads mail and runs no servers, and for the administrator that he will show it to: which host
// refused, under which rule, and what the recipient's side would have to mend.
#pragma once
#include <string>
#include <vector>

#include "dsn/notice.h"

namespace hoplock::dsn {

// Sentences, each a paragraph of its own; may be empty where the server's own words say it all.
std::vector<std::string> explain(const Recipient& recipient);

}  // namespace hoplock::dsn
