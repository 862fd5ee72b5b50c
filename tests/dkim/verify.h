// SPDX-License-Identifier: Apache-2.0
// A DKIM verifier of the tests' own, written the slow and obvious way from RFC 6376 section 6, with OpenSSL for the signatures.
// It shares no code with lib/dkim. And keys, made on the spot.
#pragma once
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "base/ascii.h"

namespace hoplock::testing {

inline std::string pem_of(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  EVP_PKEY_free(key);
  return pem;
}

inline std::string rsa_pem(unsigned bits = 2048) { return pem_of(EVP_RSA_gen(bits)); }
inline std::string ed25519_pem() { return pem_of(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }
inline std::string ec_pem() { return pem_of(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")); }

inline std::string sha256(const std::string& octets) {
  std::string hash(32, '\0');
  unsigned size = 0;
  EVP_Digest(octets.data(), octets.size(), reinterpret_cast<unsigned char*>(hash.data()), &size, EVP_sha256(), nullptr);
  return hash;
}

// RFC 6376 section 3.4.4, on the whole body.
inline std::string slow_relaxed_body(const std::string& body) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at <= body.size()) {
    const std::size_t end = std::min(body.find("\r\n", at), body.size());
    std::string line = body.substr(at, end - at);
    line = std::regex_replace(line, std::regex("[ \t]+"), " ");
    if (!line.empty() && line.back() == ' ') line.pop_back();
    lines.push_back(line);
    at = end + 2;
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  std::string out;
  for (const auto& line : lines) out += line + "\r\n";
  return out;
}

inline std::string slow_relaxed_field(const std::string& field) {
  const std::size_t colon = field.find(':');
  std::string value = std::regex_replace(field.substr(colon + 1), std::regex("\r\n"), "");
  value = std::regex_replace(value, std::regex("[ \t]+"), " ");
  return to_lower(trim(field.substr(0, colon))) + ":" + std::string(trim(value)) + "\r\n";
}

inline std::vector<std::string> slow_fields(const std::string& header) {
  std::vector<std::string> fields;
  for (std::size_t at = 0; at < header.size();) {
    const std::size_t end = header.find("\r\n", at) + 2;
    const std::string line = header.substr(at, end - at);
    if (line.front() == ' ' || line.front() == '\t') {
      fields.back() += line;
    } else {
      fields.push_back(line);
    }
    at = end;
  }
  return fields;
}

// The tags of a DKIM-Signature; a tag that stands there twice is marked with "!".
inline std::map<std::string, std::string> tags_of(const std::string& field) {
  std::map<std::string, std::string> tags;
  for (const auto part : split(std::string_view(field).substr(field.find(':') + 1), ';')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name(trim(part.substr(0, equals)));
    if (tags.count(name) != 0) tags["!"] = name;
    tags[name] = std::regex_replace(std::string(part.substr(equals + 1)), std::regex("[ \t\r\n]"), "");
  }
  return tags;
}

inline bool verify_hash(const std::string& kind, const std::string& p, const std::string& octets,
                        const std::string& signature) {
  const std::string key = from_base64(p).value_or("");
  const auto* raw = reinterpret_cast<const unsigned char*>(key.data());
  const bool rsa = kind == "rsa-sha256";
  EVP_PKEY* pkey = rsa ? d2i_PUBKEY(nullptr, &raw, static_cast<long>(key.size()))
                       : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw, key.size());
  if (pkey == nullptr) return false;
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  const std::string message = rsa ? octets : sha256(octets);
  const bool good = EVP_DigestVerifyInit(ctx, nullptr, rsa ? EVP_sha256() : nullptr, nullptr, pkey) == 1 &&
                    EVP_DigestVerify(ctx, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                                     reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
  EVP_MD_CTX_free(ctx);
  EVP_PKEY_free(pkey);
  return good;
}

// "pass", or what is wrong. `keys`: p= by selector. `which`: the how manieth DKIM-Signature from the top.
inline std::string verify(const std::string& message, const std::map<std::string, std::string>& keys,
                          std::size_t which = 0) {
  const std::size_t end = message.find("\r\n\r\n");
  const auto fields = slow_fields(message.substr(0, end == std::string::npos ? end : end + 2));
  const std::string body = end == std::string::npos ? "" : message.substr(end + 4);
  std::string signature;
  for (const auto& field : fields) {
    if (field.starts_with("DKIM-Signature:") && which-- == 0) signature = field;
  }
  if (signature.empty()) return "no signature";
  auto tags = tags_of(signature);
  if (to_base64(sha256(slow_relaxed_body(body))) != tags["bh"]) return "body hash";
  std::string hashed;
  std::map<std::string, std::size_t> used;
  for (const auto name : split(tags["h"], ':')) {
    std::size_t skip = used[to_lower(name)]++;
    for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
      if (to_lower(trim(field->substr(0, field->find(':')))) != to_lower(name)) continue;
      if (skip-- > 0) continue;
      hashed += slow_relaxed_field(*field);
      break;
    }
  }
  std::string last = slow_relaxed_field(std::regex_replace(signature, std::regex("b=[A-Za-z0-9+/=\\s]*$"), "b="));
  hashed += last.substr(0, last.size() - 2);
  const auto key = keys.find(tags["s"]);
  if (key == keys.end()) return "no key";
  return verify_hash(tags["a"], key->second, hashed, from_base64(tags["b"]).value_or("")) ? "pass" : "signature";
}

}  // namespace hoplock::testing
