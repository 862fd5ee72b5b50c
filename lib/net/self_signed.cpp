// SPDX-License-Identifier: Apache-2.0
// The certificate that a listener without one gets at the first start.
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "net/certificate.h"
#include "net/openssl_error.h"
#include "net/tls_server.h"

namespace hoplock::net {

namespace {
constexpr long ten_years = 3650L * 24 * 3600;
constexpr long one_day = 24L * 3600;

bool set_serial(X509* certificate) {
  std::uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return false;
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1;
}

bool set_subject(X509* certificate, const std::string& hostname) {
  X509_NAME* name = X509_get_subject_name(certificate);
  const std::string common = hostname.substr(0, 64);  // ub-common-name
  const auto* text = reinterpret_cast<const unsigned char*>(common.data());
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, static_cast<int>(common.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1;
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX about;
  X509V3_set_ctx(&about, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &about, kind, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

Owned<X509> sign_self(EVP_PKEY* key, const std::string& hostname) {
  Owned<X509> made(X509_new());
  X509* certificate = made.get();
  const bool good = certificate != nullptr && X509_set_version(certificate, 2) == 1 && set_serial(certificate) &&
                    X509_gmtime_adj(X509_getm_notBefore(certificate), -one_day) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(certificate), ten_years) != nullptr &&
                    X509_set_pubkey(certificate, key) == 1 && set_subject(certificate, hostname) &&
                    add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
                    add_extension(certificate, NID_subject_alt_name, "DNS:" + hostname) &&
                    X509_sign(certificate, key, EVP_sha256()) > 0;
  if (!good) made.reset();
  return made;
}

std::string content_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

Error system_failure(const std::string& path) {
  const error_code code(errno, boost::system::system_category());
  return fail(code, path + ": " + code.message());
}

Result<> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_failure(path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Whole or not at all: written beside `path`, then renamed.
Result<> replace_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return system_failure(beside);
  auto written = write_all(fd, text, beside);
  if (written && ::fsync(fd) != 0) written = system_failure(beside);
  ::close(fd);
  if (written && ::rename(beside.c_str(), path.c_str()) != 0) written = system_failure(path);
  if (!written) ::unlink(beside.c_str());
  return written;
}
}  // namespace

Result<CertificatePem> make_self_signed(const std::string& hostname) {
  ERR_clear_error();
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate = key ? sign_self(key.get(), hostname) : nullptr;
  const Owned<BIO> certificate_out(BIO_new(BIO_s_mem()));
  const Owned<BIO> key_out(BIO_new(BIO_s_mem()));
  const bool good = certificate && certificate_out && key_out &&
                    PEM_write_bio_X509(certificate_out.get(), certificate.get()) == 1 &&
                    PEM_write_bio_PKCS8PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  if (!good) return bad_input("cannot make a certificate for \"" + hostname + "\": " + take_openssl_error());
  CertificatePem pem{content_of(certificate_out.get()), content_of(key_out.get())};
  return pem;
}

Result<> write_self_signed(const std::string& hostname, CertificateFiles files) {
  const auto pem = make_self_signed(hostname);
  if (!pem) return pem.error();
  if (auto written = replace_file(files.key, pem->key, 0600); !written) return written;
  return replace_file(files.certificate, pem->certificate, 0640);
}

}  // namespace hoplock::net
