// SPDX-License-Identifier: Apache-2.0
// A detached CMS signature (RFC 5652) over a report: who has the certificate can tell that not an octet was changed.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::daemon::tool {

// DER. `pem` holds the private key, its certificate, and whatever else of the chain is to go with the signature. The error is a sentence.
Result<std::string> cms_signature(std::string_view pem, std::string_view content);

}  // namespace hoplock::daemon::tool
