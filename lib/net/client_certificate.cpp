// SPDX-License-Identifier: Apache-2.0
#include "net/client_certificate.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <ctime>

#include "base/time.h"
#include "base/utf8.h"
#include "net/certificate.h"

namespace hoplock::net {

namespace {

constexpr std::size_t most_names_read = 100;  // looked at
constexpr std::size_t longest_subject = 200;

std::vector<std::string> presented_names(X509* certificate) {
  std::vector<std::string> found;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && found.size() < most_names_read; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    found.emplace_back(text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  GENERAL_NAMES_free(names);
  return found;
}

std::string subject_text(X509* certificate) {
  const Owned<BIO> to(BIO_new(BIO_s_mem()));
  if (!to || X509_NAME_print_ex(to.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(to.get(), &data);
  return size > 0 ? to_one_line({data, static_cast<std::size_t>(size)}, longest_subject) : std::string{};
}

std::string time_text(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return to_rfc3339(from_millis(std::int64_t{timegm(&parts)} * 1000));
}

// The complaint that the verification ended with first (tls_server.cpp keeps it), or what OpenSSL's verdict is not about.
std::string error_text(const SSL* ssl, X509* certificate) {
  constexpr std::uint32_t for_tls = XKU_SSL_CLIENT | XKU_SSL_SERVER | XKU_ANYEKU;
  const auto kept = static_cast<long>(reinterpret_cast<std::intptr_t>(SSL_get_app_data(ssl)));
  const long error = kept != X509_V_OK ? kept : SSL_get_verify_result(ssl);
  if (error != X509_V_OK) return X509_verify_cert_error_string(error);
  if ((X509_get_extended_key_usage(certificate) & for_tls) == 0) return "it is not for TLS (extended key usage)";
  return {};
}

}  // namespace

std::optional<PresentedCertificate> client_certificate(const Stream& stream) {
  const SSL* ssl = stream.ssl();
  X509* certificate = ssl == nullptr ? nullptr : SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return std::nullopt;
  PresentedCertificate found;
  found.key_digest = key_digest(certificate);
  found.subject = subject_text(certificate);
  found.names = presented_names(certificate);
  found.expires = time_text(X509_get0_notAfter(certificate));
  found.error = error_text(ssl, certificate);
  return found;
}

}  // namespace hoplock::net
