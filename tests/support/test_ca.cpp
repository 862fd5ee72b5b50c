// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_ca.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/ascii.h"

namespace hoplock::support {

namespace {
void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("test CA: ") + what);
}

KeyPtr make_key(Key kind) {
  switch (kind) {
    case Key::p256:
      return KeyPtr(EVP_EC_gen("P-256"));
    case Key::brainpool512:
      return KeyPtr(EVP_EC_gen("brainpoolP512r1"));
    case Key::rsa512:
      return KeyPtr(EVP_RSA_gen(512));
    case Key::rsa1024:
      return KeyPtr(EVP_RSA_gen(1024));
    case Key::rsa2048:
      break;
  }
  return KeyPtr(EVP_RSA_gen(2048));
}

KeyPtr shared(EVP_PKEY* key) {
  EVP_PKEY_up_ref(key);
  return KeyPtr(key);
}

void add_extension(X509* certificate, X509* issuer, const std::string& kind, const std::string& value) {
  X509V3_CTX about;
  X509V3_set_ctx(&about, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf(nullptr, &about, kind.c_str(), value.c_str());
  must(extension != nullptr, value.c_str());
  must(X509_add_ext(certificate, extension, -1) == 1, "adding an extension");
  X509_EXTENSION_free(extension);
}

std::string alternative_names(const Recipe& recipe) {
  std::string names = recipe.san;
  for (const auto& name : recipe.dns) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  return names;
}

void add_extensions(X509* certificate, X509* issuer, const Recipe& recipe) {
  std::string constraints = recipe.ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
  if (recipe.path_length) constraints += ",pathlen:" + std::to_string(*recipe.path_length);
  add_extension(certificate, issuer, "basicConstraints", constraints);
  const std::string usage = recipe.key_usage.empty() && recipe.ca ? "keyCertSign,cRLSign" : recipe.key_usage;
  if (!usage.empty()) add_extension(certificate, issuer, "keyUsage", "critical," + usage);
  if (!recipe.extended_key_usage.empty()) {
    add_extension(certificate, issuer, "extendedKeyUsage", recipe.extended_key_usage);
  }
  if (!recipe.name_constraints.empty()) {
    add_extension(certificate, issuer, "nameConstraints", "critical," + recipe.name_constraints);
  }
  const std::string names = alternative_names(recipe);
  if (!names.empty()) add_extension(certificate, issuer, "subjectAltName", names);
  for (const auto& [kind, value] : recipe.extra) add_extension(certificate, issuer, kind, value);
  if (recipe.unknown_critical) add_extension(certificate, issuer, "1.2.3.4.5.6", "critical,ASN1:UTF8String:unknown");
}

X509Ptr make_certificate(const Recipe& recipe, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  static std::uint64_t serial = 1000;
  X509Ptr certificate(X509_new());
  X509* x = certificate.get();
  must(X509_set_version(x, 2) == 1, "version");
  must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), ++serial) == 1, "serial");
  X509_gmtime_adj(X509_getm_notBefore(x), std::chrono::seconds(recipe.valid_from).count());
  X509_gmtime_adj(X509_getm_notAfter(x), std::chrono::seconds(recipe.valid_to).count());
  must(X509_set_pubkey(x, key) == 1, "public key");
  X509_NAME* name = X509_get_subject_name(x);
  const auto* cn = reinterpret_cast<const unsigned char*>(recipe.cn.data());
  if (!recipe.cn.empty()) {
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, cn, static_cast<int>(recipe.cn.size()), -1, 0);
  }
  X509* signer = issuer != nullptr ? issuer : x;
  must(X509_set_issuer_name(x, X509_get_subject_name(signer)) == 1, "issuer");
  add_extensions(x, signer, recipe);
  const EVP_MD* digest = EVP_get_digestbyname(recipe.digest.c_str());
  must(X509_sign(x, issuer_key != nullptr ? issuer_key : key, digest) > 0, "signing");
  return certificate;
}

template <class T>
std::string to_der(int (*encode)(T, unsigned char**), T object) {
  unsigned char* der = nullptr;
  const int size = encode(object, &der);
  must(size > 0, "encoding");
  std::string octets(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return octets;
}

template <class Write>
std::string to_pem(Write write) {
  BIO* out = BIO_new(BIO_s_mem());
  must(write(out) == 1, "PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(out);
  return text;
}

std::string digest_of(const EVP_MD* kind, const std::string& octets) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> result{};
  unsigned size = 0;
  must(EVP_Digest(octets.data(), octets.size(), result.data(), &size, kind, nullptr) == 1, "digest");
  return {reinterpret_cast<const char*>(result.data()), size};
}
}  // namespace

Certificate::Certificate(const Recipe& recipe)
    : key_(make_key(recipe.key)), x509_(make_certificate(recipe, key_.get(), nullptr, nullptr)) {}

Certificate::Certificate(const Recipe& recipe, const Certificate& issuer)
    : key_(recipe.public_key ? shared(recipe.public_key.get()) : make_key(recipe.key)),
      x509_(make_certificate(recipe, key_.get(), issuer.x509(), issuer.key())) {}

std::string Certificate::der() const { return to_der<const X509*>(i2d_X509, x509_.get()); }

std::string Certificate::spki() const { return to_der<const EVP_PKEY*>(i2d_PUBKEY, key_.get()); }

std::string Certificate::pem() const {
  return to_pem([this](BIO* out) { return PEM_write_bio_X509(out, x509_.get()); });
}

std::string Certificate::key_pem() const {
  return to_pem(
      [this](BIO* out) { return PEM_write_bio_PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

std::string Certificate::key_digest() const { return to_hex(digest_of(EVP_sha256(), spki())); }

dns::Tlsa Certificate::tlsa(int usage, int selector, int matching) const {
  std::string data = selector == 0 ? der() : spki();
  if (matching == 1) data = digest_of(EVP_sha256(), data);
  if (matching == 2) data = digest_of(EVP_sha512(), data);
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(matching),
          std::move(data)};
}

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/hoplock-test-XXXXXX";
  must(::mkdtemp(pattern.data()) != nullptr, "a temporary directory");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::write(const std::string& name, const std::string& content) const {
  std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

net::CertificateFiles write_chain(const TempDir& dir, const std::string& name, const Certificate& leaf,
                                  const std::vector<const Certificate*>& chain) {
  std::string pem = leaf.pem();
  for (const Certificate* next : chain) pem += next->pem();
  return {dir.write(name + ".pem", pem), dir.write(name + ".key", leaf.key_pem())};
}

}  // namespace hoplock::support
