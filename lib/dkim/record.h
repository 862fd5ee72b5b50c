// SPDX-License-Identifier: Apache-2.0
// The key record at SELECTOR._domainkey.DOMAIN (RFC 6376 section 3.6.1), read to tell the operator whether what he published
// lets others verify what we sign. Verifies nothing itself.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dkim/key.h"

namespace hoplock::dkim {

struct KeyRecord {
  std::string kind = "rsa";                // k=
  std::string public_key;                  // p=, without blanks; empty: revoked
  std::vector<std::string> services{"*"};  // s=
  std::vector<std::string> hashes;         // h=; empty: all
  std::vector<std::string> flags;          // t=
};

Result<KeyRecord> parse_record(std::string_view txt);

enum class Use : std::uint8_t { mail, mail_and_reports };
// What stands in the way of `key`'s signatures, a sentence each; none: all is well. For reports the record should allow the service
// type tlsrpt (RFC 8460 section 3), and email too, for ordinary verifiers know nothing else (DKIM-06).
std::vector<std::string> complaints(const KeyRecord& record, const Key& key, Use use);

}  // namespace hoplock::dkim
