// SPDX-License-Identifier: Apache-2.0
// Reports as others write them: JSON that is less exact than ours, gzipped or not, on its own or in the mail that brought it. Reads
// what can be read and is bounded whatever it is given; json.h's reader is the strict one.
#pragma once
#include <string_view>

#include "base/result.h"
#include "tlsrpt/report.h"

namespace hoplock::tlsrpt {

inline constexpr std::size_t most_foreign_octets = std::size_t{16} << 20;  // of a file, and of what is packed in it

// What a file holds. Unknown members are passed over, missing ones are empty; an unknown result type is validation-failure, and the
// reason says what stood there. Errors: one sentence, why it is no report.
Result<Report> read_foreign(std::string_view octets);

}  // namespace hoplock::tlsrpt
