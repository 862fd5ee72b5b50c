// SPDX-License-Identifier: Apache-2.0
#include "net/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"
#include "dane/digest.h"
#include "net/openssl_error.h"

namespace hoplock::net {

namespace {
constexpr std::size_t longest_name = 64;
constexpr std::size_t most_names = 3;

Result<Owned<BIO>> open_file(const std::string& path) {
  ERR_clear_error();
  errno = 0;
  Owned<BIO> file(BIO_new_file(path.c_str(), "r"));
  const int error = errno;
  ERR_clear_error();
  if (file) return file;
  const error_code code(error != 0 ? error : EIO, boost::system::system_category());
  return fail(code, path + ": " + code.message());
}

// Keys under a passphrase are refused: nobody is there to type it.
int no_passphrase(char*, int, int, void*) { return -1; }

bool is_end_of_pem() {
  const unsigned long code = ERR_peek_last_error();
  return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

Result<> read_certificates(const std::string& path, Identity& identity) {
  auto file = open_file(path);
  if (!file) return file.error();
  identity.certificate.reset(PEM_read_bio_X509_AUX(file->get(), nullptr, no_passphrase, nullptr));
  if (!identity.certificate) return bad_input(path + ": no certificate in PEM: " + take_openssl_error());
  identity.chain.reset(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(file->get(), nullptr, no_passphrase, nullptr)) {
    sk_X509_push(identity.chain.get(), next);
  }
  if (!is_end_of_pem()) return bad_input(path + ": a broken certificate after the first: " + take_openssl_error());
  ERR_clear_error();
  return {};
}

Result<> read_key(const std::string& path, Identity& identity) {
  auto file = open_file(path);
  if (!file) return file.error();
  identity.key.reset(PEM_read_bio_PrivateKey(file->get(), nullptr, no_passphrase, nullptr));
  if (identity.key) return {};
  const bool sealed = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_BAD_PASSWORD_READ;
  const std::string why = take_openssl_error();
  return bad_input(path + (sealed ? ": the key is encrypted; a key without passphrase is needed"
                                  : ": no private key in PEM: " + why));
}

std::string certificate_der(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size < 0) return {};
  std::string octets(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return octets;
}

std::string key_der(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size < 0) return {};
  std::string octets(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return octets;
}

std::string text_of(const ASN1_STRING* string) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(string));
  return printable({data, static_cast<std::size_t>(ASN1_STRING_length(string))});
}

std::optional<std::string> subject_part(X509* certificate, int kind) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, kind, -1);
  if (at < 0) return std::nullopt;
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

std::vector<std::string> dns_names(X509* certificate) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS) names.push_back(text_of(name->d.dNSName));
  }
  GENERAL_NAMES_free(all);
  return names;
}
}  // namespace

Result<Identity> load_identity(const CertificateFiles& files) {
  Identity identity;
  if (auto read = read_certificates(files.certificate, identity); !read) return read.error();
  if (auto read = read_key(files.key, identity); !read) return read.error();
  ERR_clear_error();
  if (X509_check_private_key(identity.certificate.get(), identity.key.get()) == 1) return identity;
  ERR_clear_error();
  return bad_input(files.key + ": the key does not belong to the certificate in " + files.certificate);
}

std::string key_digest(X509* certificate) { return to_hex(dane::sha256(key_der(certificate))); }

bool is_equal(const dns::Tlsa& record, X509* certificate) {
  if (record.selector > 1) return false;
  const std::string data = record.selector == 0 ? certificate_der(certificate) : key_der(certificate);
  return !data.empty() && record.data == dane::association_data(record.matching, data);
}

std::string printable(std::string_view text) {
  const bool cut = text.size() > longest_name;
  std::string result = sanitized(text.substr(0, longest_name), Charset::ascii);
  return cut ? result + "..." : result;
}

std::string names_of(X509* certificate) {
  const std::vector<std::string> names = dns_names(certificate);
  if (names.empty()) return subject_part(certificate, NID_commonName).value_or("no host name");
  const std::size_t shown = std::min(names.size(), most_names);
  std::string text = names.front();
  for (std::size_t i = 1; i < shown; ++i) text += ", " + names[i];
  if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

std::string subject_of(X509* certificate) {
  auto name = subject_part(certificate, NID_commonName);
  if (!name) name = subject_part(certificate, NID_organizationName);
  return name ? "\"" + *name + "\"" : "";
}

std::string day_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "at an unreadable date";
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return {text.data(), size};
}

}  // namespace hoplock::net
