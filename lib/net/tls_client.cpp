// SPDX-License-Identifier: Apache-2.0
#include "net/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include "net/certificate.h"
#include "net/chain_limits.h"
#include "net/file_mark.h"
#include "net/ocsp_staple.h"
#include "net/openssl_error.h"
#include "net/tls_limits.h"
#include "net/verdict.h"

namespace hoplock::net {

namespace asio = boost::asio;
using hop::Reason;
using hop::Refusal;

namespace {

// TLS-02: 2 for PKIX and DANE-TA; 1 with an EE record, which must be compared before its key is found too small; 0 where the
// alternative is clear text, a rule that is only watched included: its check tells what is too weak (TLS-05).
int security_level(const hop::Connect& plan) {
  if (plan.on_failure == hop::OnFailure::audit) return 0;
  if (!plan.dane) return plan.pkix ? 2 : 0;
  const auto& records = plan.dane->records;
  return std::any_of(records.begin(), records.end(), [](const dns::Tlsa& record) { return record.usage == 3; }) ? 1 : 2;
}

bool set_dane(SSL* ssl, const hop::DaneCheck& check) {
  if (SSL_dane_enable(ssl, check.base.text().c_str()) != 1) return false;
  SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);  // DANE-15
  // RFC 7672 section 3.2.3: DNS-IDs, the common name only without any; `*` is one whole label
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_host(param, nullptr, 0) != 1 || !set_names(param, check.names)) return false;
  for (const auto& record : check.records) {
    const auto* data = reinterpret_cast<const unsigned char*>(record.data.data());
    // 0: OpenSSL finds the record unusable; then it matches nothing
    if (SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching, data, record.data.size()) < 0)
      return false;
  }
  return true;
}

// Of a plan's rule or, where that has none, of the one it observes; never both.
const hop::DaneCheck* dane_check(const hop::Connect& plan) {
  if (plan.dane) return &*plan.dane;
  return plan.observed && plan.observed->dane ? &*plan.observed->dane : nullptr;
}

bool wants_staple(const hop::Connect& plan) { return plan.pkix || (plan.observed && plan.observed->pkix); }

bool show_certificate(SSL* ssl, const Identity& identity) {
  return SSL_use_cert_and_key(ssl, identity.certificate.get(), identity.key.get(), identity.chain.get(), 1) == 1;
}

// OpenSSL's words differ with the side that noticed.
bool is_about_version(std::string_view why) {
  return why.find("protocol version") != std::string_view::npos ||
         why.find("unsupported protocol") != std::string_view::npos;
}

Refusal refusal_of(const Error& error) {
  if (error.code == errc::timed_out) {
    return {Reason::connect_timeout, "the TLS handshake timed out", "handshake-timeout"};
  }
  if (is_end_of_stream(error)) {
    return {Reason::validation_failure, "the server closed the connection during the TLS handshake",
            "handshake-closed"};
  }
  const std::string why = printable(error.detail);
  return {Reason::validation_failure, "the TLS handshake failed: " + why,
          is_about_version(why) ? "protocol-version" : why};
}

bool offer_http(SSL* ssl) {
  static constexpr std::array<unsigned char, 9> names{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  return SSL_set_alpn_protos(ssl, names.data(), names.size()) == 0;
}

hop::TlsSession session_facts(const SSL* ssl, X509* certificate) {
  const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  return {SSL_get_version(ssl), SSL_get_cipher_name(ssl), key_digest(certificate), sni != nullptr ? sni : ""};
}

hop::PkixVerdict checked_pkix(SSL* ssl, X509_STORE* roots, const hop::PkixCheck& check) {
  hop::PkixVerdict verdict = pkix_verdict(ssl, roots, check);
  if (staple_says_revoked(ssl, roots)) {
    const Refusal revoked{Reason::certificate_not_trusted, "the certificate is revoked, says its stapled OCSP response",
                          "X509_V_ERR_CERT_REVOKED"};
    verdict.defects.insert(verdict.defects.begin(), revoked);
  }
  return verdict;
}

// An observed check gets its verdict in the same way as one that binds, but shapes neither the handshake's demands (security level,
// SNI) nor its result.
struct Verdicts {
  std::optional<hop::DaneVerdict> dane;
  std::optional<hop::PkixVerdict> pkix;
};

template <class Rule>
Verdicts verdicts_of(const Rule& rule, SSL* ssl, X509_STORE* roots, const Complaints& complaints) {
  Verdicts verdicts;
  if (rule.dane) verdicts.dane = dane_verdict(ssl, *rule.dane, complaints);
  if (rule.pkix) verdicts.pkix = checked_pkix(ssl, roots, *rule.pkix);
  return verdicts;
}

Owned<X509_STORE> read_roots(const std::string& file) {
  Owned<X509_STORE> roots(X509_STORE_new());
  if (roots && X509_STORE_load_file(roots.get(), file.c_str()) != 1) roots.reset();
  return roots;
}

// A system's bundle takes 40 ms, and each reload asks for it twice on the loop: what is read stays while its file is the same. A file
// that changed a moment ago may change again within the same tick of its clock, so that one does not.
class KnownRoots {
 public:
  Owned<X509_STORE> load(const std::string& file) {
    const std::lock_guard lock(mutex_);
    const FileMark mark = mark_of(file);
    const auto known = std::ranges::find_if(roots_, [&file](const Known& one) { return one.mark.path == file; });
    if (known != roots_.end() && known->mark == mark) return shared(known->roots);
    if (known != roots_.end()) roots_.erase(known);
    auto roots = read_roots(file);
    if (!roots || !is_settled(mark) || mark_of(file) != mark) return roots;
    if (roots_.size() == most) roots_.erase(roots_.begin());
    roots_.push_back({mark, shared(roots)});
    return roots;
  }

 private:
  static constexpr std::size_t most = 8;  // files
  struct Known {
    FileMark mark;
    Owned<X509_STORE> roots;
  };
  static bool is_settled(const FileMark& mark) {
    return mark.inode != 0 && mark.changed / 1'000'000'000 + 2 < ::time(nullptr);
  }
  static Owned<X509_STORE> shared(const Owned<X509_STORE>& roots) {
    X509_STORE_up_ref(roots.get());
    return Owned<X509_STORE>(roots.get());
  }
  std::mutex mutex_;
  std::vector<Known> roots_;
};

Owned<X509_STORE> load_roots(const std::string& file) {
  static KnownRoots known;
  return known.load(file);
}
}  // namespace

struct ClientCertificate::Parts {
  Identity identity;
};

ClientCertificate::ClientCertificate(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ClientCertificate::~ClientCertificate() = default;

Result<std::shared_ptr<const ClientCertificate>> ClientCertificate::load(CertificateFiles files) {
  auto identity = load_identity(files);
  if (!identity) return identity.error();
  auto parts = std::make_unique<Parts>();
  parts->identity = std::move(*identity);
  return std::shared_ptr<const ClientCertificate>(new ClientCertificate(std::move(parts)));
}

Result<std::shared_ptr<const ClientTls>> ClientTls::load(TlsOptions options) {
  auto ctx = make_ssl_ctx(TLS_client_method(), options.min_version);
  if (!ctx) return ctx.error();
  if (SSL_CTX_dane_enable(ctx->get()) != 1) return bad_input("cannot set up DANE: " + take_openssl_error());
  SSL_CTX_set_options(ctx->get(), SSL_OP_NO_TICKET);  // TLS-07: nothing is ever resumed
  SSL_CTX_set_max_cert_list(ctx->get(), most_certificate_octets);
  SSL_CTX_set_cert_verify_callback(ctx->get(), verify_within_limits, nullptr);
  ERR_clear_error();
  auto roots = load_roots(options.ca_file);
  if (!roots) return bad_input(options.ca_file + ": no CA certificates: " + take_openssl_error());
  return std::shared_ptr<const ClientTls>(new ClientTls(ctx->release(), roots.release()));
}

ClientTls::~ClientTls() {
  SSL_CTX_free(ctx_);
  X509_STORE_free(roots_);
}

Result<SslHandle> ClientTls::session(const hop::Connect& plan, const ClientCertificate* certificate, Alpn alpn) const {
  ERR_clear_error();
  SslHandle ssl(SSL_new(ctx_));
  bool good = ssl != nullptr;
  if (good) {
    SSL_set_connect_state(ssl.get());
    // checks are made, but never end the handshake: hop::after judges
    SSL_set_verify(ssl.get(), SSL_VERIFY_NONE, keep_complaint);
    SSL_set_verify_depth(ssl.get(), most_intermediates);
    SSL_set_security_level(ssl.get(), security_level(plan));
  }
  if (good && !plan.sni.is_root()) good = SSL_set_tlsext_host_name(ssl.get(), plan.sni.text().c_str()) == 1;
  if (good && wants_staple(plan)) ask_for_staple(ssl.get());
  if (const auto* check = dane_check(plan); good && check != nullptr) good = set_dane(ssl.get(), *check);
  if (good && alpn == Alpn::http) good = offer_http(ssl.get());
  if (good && certificate != nullptr) good = show_certificate(ssl.get(), certificate->parts_->identity);
  if (!good) return fail(errc::invalid_argument, "cannot set up TLS: " + take_openssl_error());
  return ssl;
}

asio::awaitable<Handshake> ClientTls::handshake(Stream& stream, hop::Connect plan,
                                                std::shared_ptr<const ClientCertificate> certificate, Alpn alpn) const {
  Handshake result;
  result.stage = hop::Stage::starttls;
  if (stream.has_unread_input()) {  // RFC 3207 section 4: a server has nothing to say before our ClientHello
    result.failure = Refusal{Reason::validation_failure, "the server sent octets in clear before the TLS handshake"};
    co_return result;
  }
  result.stage = hop::Stage::handshake;
  auto ssl = session(plan, certificate.get(), alpn);
  if (!ssl) {
    result.failure = Refusal{Reason::validation_failure, ssl.error().detail};
    co_return result;
  }
  Complaints complaints;
  SSL* raw = ssl->get();
  SSL_set_app_data(raw, &complaints);
  const auto done = co_await stream.start_tls(std::move(*ssl));
  if (done) SSL_set_app_data(raw, nullptr);
  X509* leaf = done ? SSL_get0_peer_certificate(raw) : nullptr;
  if (!done) result.failure = refusal_of(done.error());
  if (done && leaf == nullptr) result.failure = Refusal{Reason::validation_failure, "the server showed no certificate"};
  if (result.failure) co_return result;
  result.stage = hop::Stage::ready;
  result.session = session_facts(raw, leaf);
  Verdicts made = verdicts_of(plan, raw, roots_, complaints);
  result.dane = std::move(made.dane);
  result.pkix = std::move(made.pkix);
  if (plan.observed) {
    Verdicts watched = verdicts_of(*plan.observed, raw, roots_, complaints);
    result.observed.emplace(hop::ObservedVerdict{std::move(watched.dane), std::move(watched.pkix)});
  }
  if (plan.required) result.name = name_verdict(raw, plan.required->names);
  co_return result;
}

}  // namespace hoplock::net
