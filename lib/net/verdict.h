// SPDX-License-Identifier: Apache-2.0
// What OpenSSL found out about the peer's certificate, as verdicts: DANE (RFC 7671, 7672) and PKIX (RFC 5280, 9525), every defect
// in words. For this module's own sources.
#pragma once
#include <openssl/ssl.h>

#include <vector>

#include "hop/outcome.h"
#include "net/certificate.h"

namespace hoplock::net {

// One complaint of X509_verify_cert.
struct Complaint {
  int error = X509_V_OK;
  int depth = 0;
  Owned<X509> about;  // may be null
};
using Complaints = std::vector<Complaint>;

// A verify callback (X509_STORE_CTX_set_verify_cb, SSL_set_verify) that lets the verification go on and keeps every complaint in
// the Complaints that the SSL's or the X509_STORE_CTX's app data point to.
int keep_complaint(int ok, X509_STORE_CTX* ctx);

// REQUIRES: `ssl` completed its handshake with the check's records, reference names and keep_complaint in place.
hop::DaneVerdict dane_verdict(SSL* ssl, const hop::DaneCheck& check, const Complaints& complaints);

// Verifies the peer's chain against `roots` now.
hop::PkixVerdict pkix_verdict(const SSL* ssl, X509_STORE* roots, const hop::PkixCheck& check);

// Whether the peer's own certificate carries one of `names`, whoever issued it. REQUIRES: `ssl` completed its handshake.
hop::PkixVerdict name_verdict(const SSL* ssl, const std::vector<dns::Name>& names);

// Reference identifiers: DNS names without the root; false: none was left, or memory is out.
bool set_names(X509_VERIFY_PARAM* param, const std::vector<dns::Name>& names);

}  // namespace hoplock::net
