// SPDX-License-Identifier: Apache-2.0
// The words for a hop's security, the same in logs, JSON, metrics and on the status page, and the enhanced status code that
// each reason carries (the codes that Exchange administrators know). Nothing is decided here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hoplock::hop {

// The rule that governed the hop. `dane` also when every TLSA record is unusable; `sts` also when DANE and STS both had to pass.
enum class Policy : std::uint8_t { opportunistic, dane, sts, sts_testing, route, requiretls };

// How the peer proved itself.
enum class Auth : std::uint8_t { none, dane_ee, dane_ta, pkix };

// Why a hop was refused: RFC 8460 section 4.3's result types, ours, and plain transport reasons.
enum class Reason : std::uint8_t {
  starttls_not_supported,
  certificate_host_mismatch,
  certificate_expired,
  certificate_not_trusted,
  validation_failure,
  tlsa_invalid,
  dnssec_invalid,
  dane_required,
  sts_policy_fetch_error,
  sts_policy_invalid,
  sts_webpki_invalid,
  mx_not_in_policy,
  requiretls_not_supported,
  tls_required_no,
  connect_timeout,
  connect_refused,
  connection_lost,
  dns_failure,
  smtp_reply,
};

// What sort of failure a reason is: the one place that sorts them. Who asks whether a rule, a record or a server is to blame asks kind().
enum class Kind : std::uint8_t {
  policy,     // a rule refused the hop, or a proof that a rule asks for (TLS, DNSSEC, MTA-STS, REQUIRETLS)
  waived,     // nothing was refused: the sender does without the rule
  lookup,     // the DNS gave no answer
  transport,  // nobody there, or a connection that was lost
  reply,      // the server's answer
};

// Whose words a text is.
enum class Words : std::uint8_t { ours, peer };

// Why a host gets no mail, or what was wrong where it gets some. `text` is one sentence without host name or code, e.g. "no TLSA
// record matches the certificate". `code`: a short ASCII word for TLS reports where the reason alone says little (RPT-19), like
// "X509_V_ERR_CERT_NOT_YET_VALID"; decides nothing, may be empty.
struct Refusal {
  Reason reason = Reason::validation_failure;
  std::string text;
  std::string code{};
  // "7.10": subject and detail of the enhanced code, where they are not the reason's own; of smtp_reply those of the reply, "": it has none
  std::string status{};
  Words words = Words::ours;  // peer: `text` is the server's reply, with its code
  bool operator==(const Refusal&) const = default;
};

std::string_view to_text(Policy policy);
std::string_view to_text(Auth auth);
std::string_view to_text(Reason reason);
std::optional<Reason> parse_reason(std::string_view text);

// "7.323" for tlsa_invalid: subject and detail of the enhanced code; the class is 4 while the message is kept. Empty for
// smtp_reply (the server's own code stands) and tls_required_no (nothing was refused).
std::string_view code(Reason reason);
std::string code(const Refusal& refusal);
Kind kind(Reason reason);
// Whether a policy refused the hop (TLS, DNSSEC, STS), rather than the transport or the server's answer.
inline bool is_policy(Reason reason) { return kind(reason) == Kind::policy; }
// Every reason, in order.
std::vector<Reason> all_reasons();

}  // namespace hoplock::hop
