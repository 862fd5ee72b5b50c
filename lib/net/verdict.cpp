// SPDX-License-Identifier: Apache-2.0
#include "net/verdict.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "net/chain_limits.h"

namespace hoplock::net {

using hop::Reason;
using hop::Refusal;

namespace {
constexpr std::size_t most_complaints = 32;
constexpr int pkix_security_level = 2;  // TLS-05: no SHA-1 signatures, no RSA below 2048

Reason reason_of(int error) {
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
      return Reason::certificate_host_mismatch;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Reason::certificate_expired;
    case X509_V_ERR_DANE_NO_MATCH:
      return Reason::tlsa_invalid;
    default:
      return Reason::certificate_not_trusted;
  }
}

struct ErrorName {
  int error;
  std::string_view name;
};
// OpenSSL has sentences for its errors, but not their names, which is what TLS reports tell (RPT-19).
constexpr std::array error_names{
    ErrorName{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT"},
    ErrorName{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
    ErrorName{X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE"},
    ErrorName{X509_V_ERR_CERT_SIGNATURE_FAILURE, "X509_V_ERR_CERT_SIGNATURE_FAILURE"},
    ErrorName{X509_V_ERR_CERT_NOT_YET_VALID, "X509_V_ERR_CERT_NOT_YET_VALID"},
    ErrorName{X509_V_ERR_CERT_HAS_EXPIRED, "X509_V_ERR_CERT_HAS_EXPIRED"},
    ErrorName{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"},
    ErrorName{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN"},
    ErrorName{X509_V_ERR_CERT_CHAIN_TOO_LONG, "X509_V_ERR_CERT_CHAIN_TOO_LONG"},
    ErrorName{X509_V_ERR_CERT_REVOKED, "X509_V_ERR_CERT_REVOKED"},
    ErrorName{X509_V_ERR_INVALID_CA, "X509_V_ERR_INVALID_CA"},
    ErrorName{X509_V_ERR_INVALID_PURPOSE, "X509_V_ERR_INVALID_PURPOSE"},
    ErrorName{X509_V_ERR_HOSTNAME_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH"},
    ErrorName{X509_V_ERR_EE_KEY_TOO_SMALL, "X509_V_ERR_EE_KEY_TOO_SMALL"},
    ErrorName{X509_V_ERR_CA_KEY_TOO_SMALL, "X509_V_ERR_CA_KEY_TOO_SMALL"},
    ErrorName{X509_V_ERR_CA_MD_TOO_WEAK, "X509_V_ERR_CA_MD_TOO_WEAK"},
};

std::string name_of(int error) {
  const auto* known = std::find_if(error_names.begin(), error_names.end(),
                                   [error](const ErrorName& one) { return one.error == error; });
  return known == error_names.end() ? "X509_V_ERR_" + std::to_string(error) : std::string(known->name);
}

std::string whose(const Complaint& complaint) {
  if (complaint.depth == 0) return "certificate";
  const std::string name = complaint.about ? subject_of(complaint.about.get()) : "";
  return name.empty() ? "issuer's certificate" : "issuer's certificate " + name;
}

std::string expiry_text(const Complaint& complaint) {
  if (!complaint.about) return "certificate has expired";
  return whose(complaint) + " expired " + day_of(X509_get0_notAfter(complaint.about.get()));
}

std::string trust_text(const Complaint& complaint) {
  switch (complaint.error) {
    case X509_V_ERR_CERT_NOT_YET_VALID:  // RPT-21: no matter of expiry
      if (!complaint.about) return "certificate is not valid yet";
      return whose(complaint) + " is not valid before " + day_of(X509_get0_notBefore(complaint.about.get()));
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "certificate is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "certificate chain ends at an unknown authority";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "certificate's issuer is unknown, or its certificate is missing from the chain";
    default:
      return whose(complaint) + ": " + X509_verify_cert_error_string(complaint.error);
  }
}

std::string list(const std::vector<dns::Name>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name.text();
  return text.empty() ? "any expected name" : text;
}

Refusal refusal_of(const Complaint& complaint, X509* leaf, const std::vector<dns::Name>& names) {
  const Reason reason = reason_of(complaint.error);
  switch (reason) {
    case Reason::certificate_host_mismatch:
      return {reason, "certificate is for " + names_of(leaf) + ", not " + list(names), name_of(complaint.error)};
    case Reason::certificate_expired:
      return {reason, expiry_text(complaint), name_of(complaint.error)};
    default:
      return {reason, trust_text(complaint), name_of(complaint.error)};
  }
}

// One refusal a reason, in CONTRACT's order: not trusted, host mismatch, expired.
std::vector<Refusal> defects_of(const Complaints& complaints, X509* leaf, const std::vector<dns::Name>& names) {
  static constexpr std::array order{Reason::certificate_not_trusted, Reason::certificate_host_mismatch,
                                    Reason::certificate_expired};
  std::vector<Refusal> defects;
  for (const Reason reason : order) {
    const auto first = std::find_if(complaints.begin(), complaints.end(),
                                    [&](const Complaint& complaint) { return reason_of(complaint.error) == reason; });
    if (first != complaints.end()) defects.push_back(refusal_of(*first, leaf, names));
  }
  return defects;
}

// RPT-22: whether a TA record is one of the certificates that the server sent above its leaf.
bool is_anchor_sent(const SSL* ssl, const std::vector<dns::Tlsa>& records) {
  const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  return std::any_of(records.begin(), records.end(), [&](const dns::Tlsa& record) {
    for (int depth = 1; record.usage == 2 && depth < sk_X509_num(chain); ++depth) {
      if (is_equal(record, sk_X509_value(chain, depth))) return true;
    }
    return false;
  });
}

// Whether the chain ends at a TLSA record, whatever else is wrong with it. The issuer errors come when OpenSSL could use no
// record at all and looked for public roots, of which it has none.
bool leads_to_anchor(const Complaints& complaints) {
  static constexpr std::array lost{X509_V_ERR_DANE_NO_MATCH, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                                   X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                                   X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN};
  return std::none_of(complaints.begin(), complaints.end(), [](const Complaint& complaint) {
    return std::find(lost.begin(), lost.end(), complaint.error) != lost.end();
  });
}

std::optional<dns::Tlsa> matched_record(SSL* ssl) {
  std::uint8_t usage = 0;
  std::uint8_t selector = 0;
  std::uint8_t matching = 0;
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_get_verify_result(ssl) != X509_V_OK) return std::nullopt;
  if (SSL_get0_dane_tlsa(ssl, &usage, &selector, &matching, &data, &size) < 0) return std::nullopt;
  return dns::Tlsa{usage, selector, matching, std::string(reinterpret_cast<const char*>(data), size)};
}

struct Verification {
  Owned<X509_STORE_CTX> ctx;
  Complaints complaints;
};

// False: OpenSSL could not even start.
bool verify(Verification& verification, X509_STORE* roots, X509* leaf, STACK_OF(X509) * chain,
            const std::vector<dns::Name>& names) {
  verification.ctx.reset(X509_STORE_CTX_new());
  X509_STORE_CTX* ctx = verification.ctx.get();
  if (ctx == nullptr || X509_STORE_CTX_init(ctx, roots, leaf, chain) != 1) return false;
  if (X509_STORE_CTX_set_default(ctx, "ssl_server") != 1) return false;
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx);
  X509_VERIFY_PARAM_set_auth_level(param, pkix_security_level);
  X509_VERIFY_PARAM_set_depth(param, most_intermediates);
  // RFC 9525 section 6.3, TLS-04: DNS-IDs only
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (!set_names(param, names)) return false;
  X509_STORE_CTX_set_app_data(ctx, &verification.complaints);
  X509_STORE_CTX_set_verify_cb(ctx, keep_complaint);
  return X509_verify_cert(ctx) == 1;
}
}  // namespace

int keep_complaint(int ok, X509_STORE_CTX* ctx) {
  if (ok == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* complaints =
      static_cast<Complaints*>(ssl != nullptr ? SSL_get_app_data(ssl) : X509_STORE_CTX_get_app_data(ctx));
  if (complaints == nullptr || complaints->size() >= most_complaints) return 0;
  X509* about = X509_STORE_CTX_get_current_cert(ctx);
  if (about != nullptr) X509_up_ref(about);
  complaints->push_back({X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx), Owned<X509>(about)});
  return 1;
}

bool set_names(X509_VERIFY_PARAM* param, const std::vector<dns::Name>& names) {
  std::size_t count = 0;
  for (const auto& name : names) {
    if (name.is_root()) continue;
    if (X509_VERIFY_PARAM_add1_host(param, name.text().c_str(), name.text().size()) != 1) return false;
    ++count;
  }
  return count > 0;
}

hop::DaneVerdict dane_verdict(SSL* ssl, const hop::DaneCheck& check, const Complaints& complaints) {
  hop::DaneVerdict verdict;
  if (complaints.empty()) verdict.matched = matched_record(ssl);
  if (verdict.matched) return verdict;
  const bool anchored = leads_to_anchor(complaints);
  const bool broken = !anchored && is_anchor_sent(ssl, check.records);
  if (anchored || broken) {
    verdict.defects = defects_of(complaints, SSL_get0_peer_certificate(ssl), check.names);
  }
  const bool told = !verdict.defects.empty() && verdict.defects.front().reason == Reason::certificate_not_trusted;
  if (broken && !told) {
    const Refusal broken_chain{Reason::certificate_not_trusted, "certificate chain does not lead to its TLSA anchor"};
    verdict.defects.insert(verdict.defects.begin(), broken_chain);
  }
  if (verdict.defects.empty()) {
    verdict.defects.emplace_back(Refusal{Reason::tlsa_invalid, "no TLSA record matches the certificate"});
  }
  return verdict;
}

hop::PkixVerdict pkix_verdict(const SSL* ssl, X509_STORE* roots, const hop::PkixCheck& check) {
  hop::PkixVerdict verdict;
  X509* leaf = SSL_get0_peer_certificate(ssl);
  Verification verification;
  ERR_clear_error();
  const bool good = leaf != nullptr && verify(verification, roots, leaf, SSL_get_peer_cert_chain(ssl), check.names);
  ERR_clear_error();
  if (good && verification.complaints.empty()) return verdict;
  verdict.defects = defects_of(verification.complaints, leaf, check.names);
  if (verdict.defects.empty()) {
    verdict.defects.push_back({Reason::certificate_not_trusted, "certificate could not be verified"});
  }
  return verdict;
}

// As DANE reads a certificate (RFC 7672 section 3.2.3; RFC 8689 section 4.2.1 says DNS-ID or CN-ID).
hop::PkixVerdict name_verdict(const SSL* ssl, const std::vector<dns::Name>& names) {
  hop::PkixVerdict verdict;
  X509* leaf = SSL_get0_peer_certificate(ssl);
  const bool carried = std::any_of(names.begin(), names.end(), [leaf](const dns::Name& name) {
    const std::string& text = name.text();
    return !name.is_root() &&
           X509_check_host(leaf, text.c_str(), text.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1;
  });
  ERR_clear_error();
  if (carried) return verdict;
  const Complaint mismatch{X509_V_ERR_HOSTNAME_MISMATCH, 0, nullptr};
  verdict.defects.push_back(refusal_of(mismatch, leaf, names));
  return verdict;
}

}  // namespace hoplock::net
