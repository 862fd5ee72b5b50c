// SPDX-License-Identifier: Apache-2.0
// Which TLSA records of an RRset may authenticate an SMTP server: RFC 7672 section 3.1, RFC 7671 section 9 (digest agility).
// Chooses records; compares no certificates (OpenSSL does that in `net`).
#pragma once
#include <vector>

#include "dns/records.h"

namespace hoplock::dane {

// CONTRACT (DANE-11, DANE-12): usage 2 or 3, selector 0 or 1, matching 0 to 2, the digest's exact length or, for matching 0,
// DER that parses as a certificate (selector 0) or a SubjectPublicKeyInfo (selector 1). PKIX-TA(0) and PKIX-EE(1) never.
bool is_usable(const dns::Tlsa& record);

// The records that count, in order: the usable ones, after digest agility (DANE-25): per usage and selector only those with the
// strongest digest present (SHA2-512 over SHA2-256), and every Full(0) one. Duplicates appear once.
std::vector<dns::Tlsa> usable(const std::vector<dns::Tlsa>& records);

}  // namespace hoplock::dane
