// SPDX-License-Identifier: Apache-2.0
#include "probe/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

#include "dane/digest.h"

namespace hoplock::probe {

namespace {

struct Free {
  void operator()(X509* one) const { X509_free(one); }
  void operator()(BIO* one) const { BIO_free(one); }
  void operator()(GENERAL_NAMES* one) const { GENERAL_NAMES_free(one); }
  void operator()(unsigned char* one) const { OPENSSL_free(one); }
};
using X509Ptr = std::unique_ptr<X509, Free>;

X509Ptr parse_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  return X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}

std::string octets_of(unsigned char* raw, int size) {
  const std::unique_ptr<unsigned char, Free> owned(raw);
  return size > 0 ? std::string(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size)) : std::string();
}

std::string to_der(const X509* one) {
  unsigned char* raw = nullptr;
  const int size = i2d_X509(one, &raw);
  return octets_of(raw, size);
}

std::string key_of(const X509* one) {
  unsigned char* raw = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(one), &raw);
  return octets_of(raw, size);
}

}  // namespace

Result<std::vector<std::string>> parse_certificates(std::string_view file) {
  std::vector<std::string> found;
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(file.data(), static_cast<int>(file.size())));
  ERR_clear_error();
  while (bio) {
    const X509Ptr one(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!one) break;
    found.push_back(to_der(one.get()));
  }
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!found.empty() && !end) return bad_input("a certificate in it cannot be read");
  if (!found.empty()) return found;
  const X509Ptr one = parse_der(file);
  ERR_clear_error();
  if (!one) return bad_input("it holds no certificate, neither in PEM nor in DER");
  found.push_back(to_der(one.get()));
  return found;
}

Result<dns::Tlsa> record_for(const std::vector<std::string>& chain, Parameters parameters) {
  const bool authority = parameters.usage == 2;
  const X509Ptr one = parse_der(authority && chain.size() > 1 ? chain[1] : chain[0]);
  if (!one) return bad_input("a certificate that cannot be read");
  if (authority && X509_check_ca(one.get()) == 0)
    return bad_input("usage 2 needs the certificate of a CA behind the server's own, and there is none");
  const std::string selected = parameters.selector == 0 ? to_der(one.get()) : key_of(one.get());
  dns::Tlsa record{parameters.usage, parameters.selector, parameters.matching, {}};
  record.data = dane::association_data(parameters.matching, selected).value_or("");
  if (record.data.empty()) return bad_input("the certificate's public key cannot be read");
  return record;
}

std::optional<dns::Name> first_name(const std::string& der) {
  const X509Ptr one = parse_der(der);
  if (!one) return std::nullopt;
  const std::unique_ptr<GENERAL_NAMES, Free> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(one.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName));
    auto parsed = dns::Name::parse(std::string_view(text, size));
    if (parsed && !parsed->is_root() && parsed->text().front() != '*') return std::move(*parsed);
  }
  return std::nullopt;
}

std::string subject_of(const std::string& der) {
  if (const auto name = first_name(der)) return name->text();
  const X509Ptr one = parse_der(der);
  if (!one) return {};
  const X509_NAME* subject = X509_get_subject_name(one.get());
  for (const int kind : {NID_commonName, NID_organizationName}) {
    const int at = X509_NAME_get_index_by_NID(subject, kind, -1);
    if (at < 0) continue;
    unsigned char* raw = nullptr;
    const int size = ASN1_STRING_to_UTF8(&raw, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size > 0) return octets_of(raw, size);
  }
  return {};
}

std::optional<Time> not_after(const std::string& der) {
  const X509Ptr one = parse_der(der);
  std::tm parts{};
  if (!one || ASN1_TIME_to_tm(X509_get0_notAfter(one.get()), &parts) != 1) return std::nullopt;
  return Time(Seconds(timegm(&parts)));
}

}  // namespace hoplock::probe
