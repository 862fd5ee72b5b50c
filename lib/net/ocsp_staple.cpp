// SPDX-License-Identifier: Apache-2.0
#include "net/ocsp_staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <memory>

#include "net/chain_limits.h"

namespace hoplock::net {

namespace {

constexpr long clock_tolerance = 300;  // seconds

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* value) const { Free(value); }
};
using Response = std::unique_ptr<OCSP_RESPONSE, Freed<OCSP_RESPONSE, OCSP_RESPONSE_free>>;
using Basic = std::unique_ptr<OCSP_BASICRESP, Freed<OCSP_BASICRESP, OCSP_BASICRESP_free>>;
using CertId = std::unique_ptr<OCSP_CERTID, Freed<OCSP_CERTID, OCSP_CERTID_free>>;

Basic stapled(SSL* ssl) {
  const unsigned char* octets = nullptr;
  const long length = SSL_get_tlsext_status_ocsp_resp(ssl, &octets);
  if (length <= 0 || octets == nullptr) return nullptr;
  const Response response(d2i_OCSP_RESPONSE(nullptr, &octets, length));
  if (!response || OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL) return nullptr;
  return Basic(OCSP_response_get1_basic(response.get()));
}

// The certificate of the chain that issued the leaf.
X509* issuer_of(X509* leaf, STACK_OF(X509) * chain) {
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* const one = sk_X509_value(chain, i);
    if (X509_check_issued(one, leaf) == X509_V_OK) return one;
  }
  return nullptr;
}

bool is_revoked(OCSP_BASICRESP* basic, X509* leaf, X509* issuer) {
  for (const EVP_MD* digest : {EVP_sha1(), EVP_sha256()}) {  // responders name the certificate by either
    const CertId id(OCSP_cert_to_id(digest, leaf, issuer));
    int status = V_OCSP_CERTSTATUS_UNKNOWN;
    ASN1_GENERALIZEDTIME* from = nullptr;
    ASN1_GENERALIZEDTIME* until = nullptr;
    if (!id || OCSP_resp_find_status(basic, id.get(), &status, nullptr, nullptr, &from, &until) != 1) continue;
    return status == V_OCSP_CERTSTATUS_REVOKED && OCSP_check_validity(from, until, clock_tolerance, -1) == 1;
  }
  return false;
}

}  // namespace

void ask_for_staple(SSL* ssl) { SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp); }

bool staple_says_revoked(SSL* ssl, X509_STORE* roots) {
  ERR_clear_error();
  const Basic basic = stapled(ssl);
  STACK_OF(X509)* const chain =
      SSL_get0_verified_chain(ssl) != nullptr ? SSL_get0_verified_chain(ssl) : SSL_get_peer_cert_chain(ssl);
  X509* const leaf = SSL_get0_peer_certificate(ssl);
  X509* const issuer = chain != nullptr && leaf != nullptr ? issuer_of(leaf, chain) : nullptr;
  // The signature must lead to our roots over the certificates that the server sent.
  const bool bounded = basic && excess_of(OCSP_resp_get0_certs(basic.get())) == nullptr;
  const bool revoked = bounded && issuer != nullptr && OCSP_basic_verify(basic.get(), chain, roots, 0) == 1 &&
                       is_revoked(basic.get(), leaf, issuer);
  ERR_clear_error();
  return revoked;
}

}  // namespace hoplock::net
