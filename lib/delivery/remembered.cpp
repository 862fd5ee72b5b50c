// SPDX-License-Identifier: Apache-2.0
#include "delivery/remembered.h"

#include <string>

#include "base/ascii.h"
#include "dkim/sha256.h"
#include "statistics/proof.h"

namespace hoplock::delivery {

namespace {

using statistics::Kind;

constexpr std::size_t longest_data = 64;  // octets of a TLSA record that are kept as they are: SHA-512

// A whole certificate in the DNS is told by its hash.
std::string record_text(const dns::Tlsa& record) {
  if (record.data.size() <= longest_data) return record.text();
  dkim::Sha256 hash;
  hash.update(record.data);
  return record.params() + " sha256:" + to_hex(hash.finish());
}

std::string date(std::chrono::sys_days day) { return to_rfc3339(Time(day)).substr(0, 10); }

class Book {
 public:
  Book(Time at, std::uint64_t octets) : at_(at), octets_(octets) {}

  void note(Kind kind, const std::string& domain, std::string what, std::uint64_t octets = 0) {
    statistics::Row row;
    row.day = statistics::day_of(at_);
    row.domain = domain;
    row.kind = kind;
    row.what = std::move(what);
    counts_.note(std::move(row), at_, octets);
  }

  void note_delivered(const RecipientLine& line) {
    const HopWords none;
    const HopWords& hop = line.hop ? *line.hop : none;
    const auto cipher = statistics::cipher_class(hop.tls, hop.cipher);
    note(Kind::delivered, line.domain, statistics::join_words({hop.policy, hop.tls, hop.auth, cipher}), octets_);
    if (!hop.cert.empty()) note(Kind::key, line.domain, statistics::join_words({hop.cert}), octets_);
  }
  void note_failed(const RecipientLine& line) {
    const std::string policy = line.hop ? line.hop->policy : "";
    note(Kind::failed, line.domain, statistics::join_words({verdict_word(line.verdict), policy, line.reason}));
  }

  // What else stands in the hop that a delivery went over.
  void note_proofs(const std::string& domain, const Hop& hop) {
    if (hop.matched && hop.auth != hop::Auth::none) {
      const std::string record = record_text(*hop.matched);
      const bool secure = hop.mx_security == dns::Security::secure;
      note(Kind::tlsa, domain,
           secure ? statistics::join_words({record, statistics::signed_mx}) : statistics::join_words({record}),
           octets_);
    }
    if (!hop.sts_id.empty()) note(Kind::sts, domain, statistics::join_words({hop.sts_id}), octets_);
    if (!hop.waived) return;
    const bool asked_for = hop.waived->reason == hop::Reason::tls_required_no;
    note_relaxed(domain, asked_for ? statistics::relaxed_by::sender : statistics::relaxed_by::audit,
                 to_text(hop.waived->reason));
  }
  void note_relaxed(const std::string& domain, std::string_view by, std::string_view detail) {
    note(Kind::relaxed, domain, statistics::join_words({by, detail, "", ""}), octets_);
  }
  void note_exception(const std::string& domain, std::string_view by, const Exception& exception) {
    const std::string until = exception.until ? date(*exception.until) : "";
    note(Kind::relaxed, domain, statistics::join_words({by, exception.rules, until, exception.note}), octets_);
  }
  void note_host(const std::string& domain, const RefusedHop& refused) {
    const HopWords words = hop_words(*refused.hop);
    const std::string_view reason = refused.means.reason ? to_text(*refused.means.reason) : "";
    note(Kind::host, domain, statistics::join_words({action_word(refused.action), words.policy, reason}));
  }

  statistics::Counts counts() { return std::move(counts_); }

 private:
  Time at_;
  std::uint64_t octets_;
  statistics::Counts counts_;
};

std::string_view mode_word(hop::Mode mode) { return mode == hop::Mode::audit ? "audit" : "off"; }

std::string_view lax_word(hop::RouteTls tls) {
  switch (tls) {
    case hop::RouteTls::none:
      return "none";
    case hop::RouteTls::opportunistic:
      return "opportunistic";
    case hop::RouteTls::encrypt:
      return "encrypt";
    default:
      return "";
  }
}

}  // namespace

statistics::Counts remembered(const Attempt& attempt, const std::vector<RecipientLine>& lines) {
  Book book(attempt.ended, attempt.size);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const RecipientLine& line = lines[i];
    if (line.verdict != store::Verdict::delivered) {
      book.note_failed(line);
      continue;
    }
    book.note_delivered(line);
    if (const Hop* hop = deciding_hop(attempt, i)) book.note_proofs(line.domain, *hop);
    if (attempt.exception) book.note_exception(line.domain, statistics::relaxed_by::route, *attempt.exception);
    for (const Exception& one : attempt.agreed) book.note_exception(line.domain, statistics::relaxed_by::partner, one);
    if (attempt.overlooked)
      book.note_relaxed(line.domain, statistics::relaxed_by::unknown, to_text(attempt.overlooked->reason));
  }
  const RefusedHops refused = refused_hops(attempt);
  for (const auto* hops : {&refused.told, &refused.rest})
    for (const RefusedHop& one : *hops) book.note_host(attempt.domain.text(), one);
  return book.counts();
}

statistics::Counts remembered(Time at, const std::vector<RecipientLine>& lines) {
  Book book(at, 0);
  for (const RecipientLine& line : lines) book.note_failed(line);
  return book.counts();
}

std::optional<Exception> exception_of(const route::Hosts& hosts) {
  if (!hosts.route || !hosts.route->hosts.empty()) return std::nullopt;
  const route::Route& route = *hosts.route;
  std::string rules;
  const auto add = [&rules](std::string_view key, std::string_view word) {
    if (word.empty()) return;
    rules += (rules.empty() ? "" : " ") + std::string(key) + "=" + std::string(word);
  };
  if (route.dane && *route.dane != hop::Mode::enforce) add("dane", mode_word(*route.dane));
  if (route.mta_sts && *route.mta_sts != hop::Mode::enforce) add("mta_sts", mode_word(*route.mta_sts));
  if (route.tls) add("tls", lax_word(*route.tls));
  if (rules.empty()) return std::nullopt;
  Exception exception;
  exception.rules = std::move(rules);
  exception.until = route.until;
  exception.note = route.note;
  return exception;
}

std::vector<Exception> exceptions_agreed(const route::Hosts& hosts) {
  std::vector<Exception> agreed;
  const auto add = [&agreed](const partners::EntryPtr& entry, std::string rules) {
    if (entry) agreed.push_back({std::move(rules), entry->until, entry->note});
  };
  add(hosts.loosened.dane, "dane=audit");
  add(hosts.loosened.mta_sts, "mta_sts=audit");
  return agreed;
}

}  // namespace hoplock::delivery
