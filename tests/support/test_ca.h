// SPDX-License-Identifier: Apache-2.0
// A certificate authority for tests, in process: keys and certificates of every good and bad kind, their TLSA data, PEM
// files.
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dns/records.h"
#include "net/options.h"

namespace hoplock::support {

struct OpensslFree {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
using X509Ptr = std::unique_ptr<X509, OpensslFree>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree>;

enum class Key { p256, brainpool512, rsa1024, rsa2048, rsa512 };

// How a certificate is made; the defaults are a good leaf.
struct Recipe {
  std::string cn = "";
  std::vector<std::string> dns = {};  // subjectAltName DNS-IDs
  std::string san = "";               // more of subjectAltName in OpenSSL's notation: "IP:192.0.2.1"
  Key key = Key::p256;
  bool ca = false;
  std::optional<int> path_length = std::nullopt;
  std::string name_constraints = "";    // "permitted;DNS:example.org"
  std::string extended_key_usage = "";  // "clientAuth"; empty: no extension
  std::string key_usage = "";           // "digitalSignature"; empty: keyCertSign,cRLSign for a CA, else no extension
  std::chrono::hours valid_from{-24};   // from now
  std::chrono::hours valid_to{24 * 30};
  std::string digest = "SHA256";
  bool unknown_critical = false;                                // an unknown extension marked critical
  std::vector<std::pair<std::string, std::string>> extra = {};  // extensions in OpenSSL's notation: OID, value
  std::shared_ptr<EVP_PKEY> public_key = nullptr;  // of the test's own, instead of `key`; only below an issuer
};

class Certificate {
 public:
  // Signed by itself.
  explicit Certificate(const Recipe& recipe);
  // Signed by `issuer`.
  Certificate(const Recipe& recipe, const Certificate& issuer);

  X509* x509() const { return x509_.get(); }
  EVP_PKEY* key() const { return key_.get(); }
  std::string der() const;
  std::string spki() const;  // DER of SubjectPublicKeyInfo
  std::string pem() const;
  std::string key_pem() const;
  std::string key_digest() const;  // SHA-256 of spki(), lower-case hex: hop::TlsSession::key
  dns::Tlsa tlsa(int usage, int selector, int matching) const;

 private:
  KeyPtr key_;
  X509Ptr x509_;
};

// A directory of its own under $TMPDIR, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  // Writes a file into it; its path.
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

// leaf, then what the server sends after it, as files "<name>.pem" and "<name>.key".
net::CertificateFiles write_chain(const TempDir& dir, const std::string& name, const Certificate& leaf,
                                  const std::vector<const Certificate*>& chain = {});

}  // namespace hoplock::support
