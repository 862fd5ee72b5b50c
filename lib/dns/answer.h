// SPDX-License-Identifier: Apache-2.0
// What a validating resolver found out about one question: facts, not success or failure. RFC 4035 section 4.3 as RFC
// 7672 section 2.1.1 reads it: every answer is secure, insecure or an error (bogus, failed); data of an error is never
// kept.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "dns/records.h"

namespace hoplock::dns {

enum class Status : std::uint8_t {
  records,  // at least one record of the type asked for
  no_data,  // the name exists, the type does not
  no_name,  // NXDOMAIN
  failed,   // SERVFAIL, REFUSED, time-out, malformed, alias loop, or bogus (then security == bogus)
};
// `insecure` also covers RFC 4033's "indeterminate" (no trust anchor above the name); failed answers are `insecure` or
// `bogus`.
enum class Security : std::uint8_t { secure, insecure, bogus };
std::string_view to_text(Status status);
std::string_view to_text(Security security);

using Record = std::variant<Mx, Ip, Name, Tlsa, std::string>;  // MX | A, AAAA | CNAME, PTR | TLSA | TXT

struct Answer {
  Name question;
  Type type = Type::a;
  Status status = Status::failed;
  Security security = Security::insecure;  // of the whole chain of aliases and the final RRset or denial
  Name canonical;                          // where the aliases end; == question without aliases
  std::vector<Record> records;             // in the order received; empty unless status == records
  std::chrono::seconds ttl{0};             // least of the chain's; 0 for failed
  std::string why;                         // for failed: one sentence; names bogus's cause

  bool aliased() const { return canonical != question; }
  bool failed() const { return status == Status::failed; }
  bool secure() const { return security == Security::secure && !failed(); }

  // The records of one kind, in order.
  template <class T>
  std::vector<T> all() const {
    std::vector<T> found;
    for (const auto& record : records) {
      if (const T* one = std::get_if<T>(&record)) found.push_back(*one);
    }
    return found;
  }
};

}  // namespace hoplock::dns
