// SPDX-License-Identifier: Apache-2.0
#include "dsn/explain.h"

#include <algorithm>
#include <array>

namespace hoplock::dsn {

namespace {

using hop::Reason;

struct Meaning {
  Reason reason;
  std::string_view what;  // happened
  std::string_view mend;  // what the recipient's side would have to do; "" where it is not for them
};

// The reasons of RFC 8460 and the plain ones, as the contract lists them.
constexpr std::array<Meaning, 17> meanings{{
    {Reason::starttls_not_supported,
     "The server offers no encryption (STARTTLS), which the rule for this mail demands.",
     "The recipient's mail server must offer STARTTLS again on the host named above."},
    {Reason::certificate_host_mismatch, "The server's certificate is made out to another name.",
     "The recipient's mail server needs a certificate that names the host above."},
    {Reason::certificate_expired, "The server's certificate has expired.",
     "The recipient's mail server needs a new certificate."},
    // Not expired, and for the right name: all other faults (RPT-21).
    {Reason::certificate_not_trusted,
     "The server's certificate is not trusted: no trusted authority issued it, it is not yet valid, or it has another "
     "fault.",
     "The recipient's mail server needs a valid certificate, with its whole chain, from a public authority."},
    {Reason::validation_failure, "No secured connection to the server could be set up.",
     "The recipient's mail server must be made to complete a TLS handshake."},
    {Reason::tlsa_invalid,
     "The server's certificate does not match the fingerprint (TLSA record, DANE) that its domain publishes.",
     "Most likely the certificate was renewed without its TLSA record. The recipient's administrators must publish a "
     "TLSA record for "
     "the certificate that the host above uses now, or put the old certificate back."},
    {Reason::dnssec_invalid,
     "The recipient's domain has signed entries in the DNS whose signatures do not verify, or cannot be looked up.",
     "The recipient's administrators must repair DNSSEC for their domain or their mail server's."},
    {Reason::dane_required,
     "The mail may only go to a server that publishes its certificate's fingerprint (TLSA record, DANE).",
     "The recipient's administrators must publish TLSA records, signed with DNSSEC."},
    {Reason::sts_policy_fetch_error, "The security policy of the recipient's domain (MTA-STS) could not be fetched.",
     "The recipient's administrators must make the policy readable at https://mta-sts.DOMAIN/.well-known/mta-sts.txt."},
    {Reason::sts_policy_invalid, "The security policy of the recipient's domain (MTA-STS) is malformed.",
     "The recipient's administrators must correct the policy."},
    {Reason::sts_webpki_invalid,
     "The security policy of the recipient's domain (MTA-STS) is served under a bad certificate.",
     "The recipient's administrators must renew the certificate of the policy's web server."},
    {Reason::mx_not_in_policy,
     "The mail server is not among those that the recipient's domain allows (MTA-STS policy).",
     "The recipient's administrators must name the server in their MTA-STS policy, or take it out of their MX "
     "records."},
    {Reason::requiretls_not_supported,
     "You asked for encryption all the way (REQUIRETLS), and the server cannot give it.",
     "Send the message without that demand, or ask the recipient's side to support REQUIRETLS."},
    {Reason::connect_timeout, "The server did not answer.",
     "The recipient's mail server must be reachable on port 25."},
    {Reason::connect_refused, "The server takes no connections.",
     "The recipient's mail server must accept connections on port 25."},
    {Reason::connection_lost, "The server broke the connection off.",
     "The recipient's administrators may find the cause in their server's log."},
    {Reason::dns_failure, "The recipient's domain or its mail server could not be looked up in the DNS.",
     "The recipient's administrators must repair the name servers of their domain."},
}};

// As the resolver says it when nothing that it hears can be believed: then nobody else has anything to mend.
constexpr std::string_view own_fault = "our own DNSSEC validation does not work";

std::string rule(hop::Policy policy) {
  switch (policy) {
    case hop::Policy::dane:
      return "DANE";
    case hop::Policy::sts:
      return "MTA-STS";
    case hop::Policy::requiretls:
      return "REQUIRETLS";
    case hop::Policy::route:
      return "a rule that our administrators set for this domain";
    case hop::Policy::opportunistic:
    case hop::Policy::sts_testing:
      break;
  }
  return "";
}

std::vector<std::string> without_reason(const Recipient& recipient) {
  if (recipient.status == "5.1.10") {
    return {"The recipient's domain says in the DNS that it takes no mail at all (null MX).",
            "If the domain is right, its administrators must publish MX records that name a mail server."};
  }
  if (recipient.status == "5.1.2") {
    return {"There is no such domain.",
            "Please look whether the address is spelled correctly, behind the @ above all."};
  }
  if (recipient.status == "5.4.4") {
    return {"The domain names mail servers that do not exist.",
            "The recipient's administrators must correct the MX records of their domain."};
  }
  return {};
}

}  // namespace

std::vector<std::string> explain(const Recipient& recipient) {
  if (recipient.by == Recipient::By::peer) return {};
  if (recipient.reason == Reason::dns_failure && recipient.reply.find(own_fault) != std::string::npos) {
    return {"Look-ups in the DNS do not work at this relay itself: the fault is not the recipient's.",
            "Our administrators must mend them; the recipient's side need do nothing."};
  }
  const auto known = std::find_if(meanings.begin(), meanings.end(),
                                  [&](const Meaning& meaning) { return meaning.reason == recipient.reason; });
  if (known == meanings.end()) return without_reason(recipient);
  std::string first(known->what);
  const std::string under = recipient.policy ? rule(*recipient.policy) : "";
  // A rule that is broken is told of as one; a server that is just not there is not.
  if (!under.empty() && hop::is_policy(known->reason))
    first += " The rule that governs this delivery is " + under + ".";
  return {first, std::string(known->mend)};
}

}  // namespace hoplock::dsn
