// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/audit_sign.h"

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "base/ascii.h"
#include "dkim/sha256.h"

namespace hoplock::daemon::tool {

namespace {

struct FreeOpenSsl {
  void operator()(BIO* one) const { BIO_free(one); }
  void operator()(X509* one) const { X509_free(one); }
  void operator()(EVP_PKEY* one) const { EVP_PKEY_free(one); }
  void operator()(CMS_ContentInfo* one) const { CMS_ContentInfo_free(one); }
  void operator()(STACK_OF(X509) * all) const { sk_X509_pop_free(all, X509_free); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeOpenSsl>;

Owned<BIO> reader_of(std::string_view octets) {
  return Owned<BIO>(BIO_new_mem_buf(octets.data(), static_cast<int>(octets.size())));
}

// A key with a passphrase is not asked for: who signs by a timer could not answer.
int no_passphrase(char*, int, int, void*) { return 0; }

Error no_signature(const char* what) {
  std::string why = what;
  if (const unsigned long code = ERR_peek_last_error(); code != 0)
    if (const char* reason = ERR_reason_error_string(code)) why += std::string(" (") + reason + ")";
  ERR_clear_error();
  return fail(errc::invalid_argument, why);
}

// As a signature over text has them (RFC 8551 section 3.1.1).
std::string with_crlf(std::string_view text) {
  std::string lines;
  lines.reserve(text.size() + text.size() / 16);
  for (std::string_view line : split(text, '\n')) {
    while (line.ends_with('\r')) line.remove_suffix(1);
    lines.append(line).append("\r\n");
  }
  lines.resize(lines.size() - 2);  // split() gave one more than there are ends of lines
  return lines;
}

// No line of the text can be it: it is made of the text's hash.
std::string boundary_for(std::string_view text) {
  constexpr std::size_t octets = 16;
  dkim::Sha256 hash;
  hash.update(text);
  return "=_" + to_hex(hash.finish().substr(0, octets));
}

}  // namespace

Result<std::string> cms_signature(std::string_view pem, std::string_view content) {
  ERR_clear_error();
  const auto keys = reader_of(pem);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_passphrase, nullptr));
  if (!key) return no_signature("it holds no private key that can be read without a passphrase");
  const Owned<STACK_OF(X509)> others(sk_X509_new_null());
  Owned<X509> signer;
  const auto certificates = reader_of(pem);
  while (X509* one = PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr)) {
    if (!signer && X509_check_private_key(one, key.get()) == 1) {
      signer.reset(one);
    } else if (sk_X509_push(others.get(), one) <= 0) {
      X509_free(one);
    }
  }
  ERR_clear_error();  // the end of the file, and certificates of other keys
  if (!signer) return no_signature("it holds no certificate that belongs to its private key");
  constexpr unsigned flags = CMS_DETACHED | CMS_BINARY;
  const auto data = reader_of(content);
  const Owned<CMS_ContentInfo> cms(CMS_sign(signer.get(), key.get(), others.get(), data.get(), flags));
  if (!cms) return no_signature("this kind of key cannot make a CMS signature; RSA and EC keys can");
  const Owned<BIO> der(BIO_new(BIO_s_mem()));
  if (i2d_CMS_bio(der.get(), cms.get()) != 1) return no_signature("the signature cannot be written down");
  char* begin = nullptr;
  const long length = BIO_get_mem_data(der.get(), &begin);
  return std::string(begin, static_cast<std::size_t>(length));
}

// RFC 8551 section 3.5.3
Result<std::string> signed_message(std::string_view pem, const ReportPart& part) {
  std::string entity = "Content-Type: " + part.media_type + "; charset=utf-8\r\n";
  entity += "Content-Transfer-Encoding: 8bit\r\n";
  entity += "Content-Disposition: attachment; filename=\"" + part.file_name + "\"\r\n\r\n";
  entity += with_crlf(part.text);
  const auto signature = cms_signature(pem, entity);
  if (!signature) return signature.error();
  const std::string boundary = boundary_for(entity);
  std::string message = "MIME-Version: 1.0\r\nSubject: " + part.subject + "\r\n";
  message += "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n";
  message += "\tmicalg=\"sha-256\"; boundary=\"" + boundary + "\"\r\n\r\n";
  message += "--" + boundary + "\r\n" + entity + "\r\n--" + boundary + "\r\n";
  message += "Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n";
  message += "Content-Transfer-Encoding: base64\r\n";
  message += "Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n";
  message += to_base64_lines(*signature) + "\r\n--" + boundary + "--\r\n";
  return message;
}

}  // namespace hoplock::daemon::tool
