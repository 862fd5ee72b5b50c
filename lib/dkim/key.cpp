// SPDX-License-Identifier: Apache-2.0
#include "dkim/key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <optional>

#include "base/ascii.h"

namespace hoplock::dkim {

namespace {
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeSigning {
  void operator()(EVP_PKEY_CTX* ctx) const { EVP_PKEY_CTX_free(ctx); }
};
struct FreeDigest {
  void operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
};

// Whatever fails here leaves nothing in OpenSSL's error queue for others to find.
class QuietErrors {
 public:
  QuietErrors() { ERR_set_mark(); }
  ~QuietErrors() { ERR_pop_to_mark(); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

const unsigned char* octets(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// A daemon has nobody to ask for a passphrase.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

std::optional<std::string> spki(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return std::nullopt;
  std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return text;
}

std::optional<std::string> raw_public(EVP_PKEY* key) {
  std::string raw(32, '\0');
  std::size_t length = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &length) != 1) return std::nullopt;
  if (length != raw.size()) return std::nullopt;
  return raw;
}

// RFC 8463 section 3: PureEdDSA, whose message is the hash.
std::optional<std::string> sign_ed25519(EVP_PKEY* key, std::string_view hash) {
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> ctx(EVP_MD_CTX_new());
  std::string signature(64, '\0');
  std::size_t length = signature.size();
  if (!ctx || EVP_DigestSignInit(ctx.get(), nullptr, nullptr, nullptr, key) != 1) return std::nullopt;
  auto* out = reinterpret_cast<unsigned char*>(signature.data());
  if (EVP_DigestSign(ctx.get(), out, &length, octets(hash), hash.size()) != 1) return std::nullopt;
  signature.resize(length);
  return signature;
}

// RFC 6376 section 3.3.1: RSASSA-PKCS1-v1_5 over the hash.
std::optional<std::string> sign_rsa(EVP_PKEY* key, std::string_view hash) {
  const std::unique_ptr<EVP_PKEY_CTX, FreeSigning> ctx(EVP_PKEY_CTX_new(key, nullptr));
  if (!ctx || EVP_PKEY_sign_init(ctx.get()) != 1) return std::nullopt;
  if (EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_PADDING) != 1) return std::nullopt;
  if (EVP_PKEY_CTX_set_signature_md(ctx.get(), EVP_sha256()) != 1) return std::nullopt;
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key)), '\0');
  std::size_t length = signature.size();
  auto* out = reinterpret_cast<unsigned char*>(signature.data());
  if (EVP_PKEY_sign(ctx.get(), out, &length, octets(hash), hash.size()) != 1) return std::nullopt;
  signature.resize(length);
  return signature;
}
}  // namespace

std::string_view to_text(Algorithm algorithm) {
  return algorithm == Algorithm::rsa_sha256 ? "rsa-sha256" : "ed25519-sha256";
}

Key::Key(Handle key, Algorithm algorithm, std::string public_key)
    : key_(std::move(key)), algorithm_(algorithm), public_key_(std::move(public_key)) {}

Result<Key> Key::parse(std::string_view pem) {
  const QuietErrors quiet;
  if (pem.find("-----BEGIN") == std::string_view::npos) return bad_input("no PEM: there is no -----BEGIN line in it");
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) return fail(errc::not_enough_memory, "out of memory");
  Handle key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key) return from(std::move(key));
  if (pem.find("ENCRYPTED") != std::string_view::npos) {
    return bad_input("the key is encrypted; a key without passphrase is needed");
  }
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos) return bad_input("the PEM holds no private key");
  return bad_input("the PEM holds no private key that can be read");
}

Result<std::string> Key::make(Algorithm algorithm) {
  const QuietErrors quiet;
  const Handle key(algorithm == Algorithm::rsa_sha256
                       ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(least_rsa_bits))
                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_secmem()));
  char* text = nullptr;
  if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return fail(errc::io_error, "OpenSSL could not make a key");
  const long length = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

Result<Key> Key::from(Handle key) {
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_get_bits(key.get());
      if (bits < least_rsa_bits) {
        return bad_input("an RSA key of " + std::to_string(bits) + " bits is too weak; at least " +
                         std::to_string(least_rsa_bits) + " are needed");
      }
      const auto der = spki(key.get());
      if (!der) return bad_input("the RSA key has no public part");
      return Key(std::move(key), Algorithm::rsa_sha256, to_base64(*der));
    }
    case EVP_PKEY_ED25519: {
      const auto raw = raw_public(key.get());
      if (!raw) return bad_input("the Ed25519 key has no public part");
      return Key(std::move(key), Algorithm::ed25519_sha256, to_base64(*raw));
    }
    default:
      return bad_input("the key is neither RSA nor Ed25519, the only kinds that DKIM knows");
  }
}

Result<std::string> Key::sign(std::string_view sha256) const {
  const QuietErrors quiet;
  auto signature =
      algorithm_ == Algorithm::rsa_sha256 ? sign_rsa(key_.get(), sha256) : sign_ed25519(key_.get(), sha256);
  if (!signature)
    return fail(errc::io_error, "OpenSSL could not sign with the " + std::string(to_text(algorithm_)) + " key");
  return std::move(*signature);
}

std::string Key::record() const {
  const std::string kind = algorithm_ == Algorithm::rsa_sha256 ? "rsa" : "ed25519";
  return "v=DKIM1; k=" + kind + "; p=" + public_key_;
}

}  // namespace hoplock::dkim
