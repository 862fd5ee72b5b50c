#include "daemon/parts_check.h"

#include "daemon/options.h"
#include "net/tls_client.h"
#include "net/tls_server.h"

namespace hoplock::daemon {

namespace {

std::string item(const char* list, std::size_t index, const char* key) {
  return std::string(list) + "[" + std::to_string(index) + "]." + key;
}

}  // namespace

void check_parts(config::Loaded& loaded) {
  const auto& config = loaded.config;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const auto& one = config.listeners[i];
    if (one.certificate.path.empty() || one.tls == config::ListenerTls::none) continue;
    const auto tls = net::ServerTls::load({one.certificate.path, one.key.path});
    if (!tls) loaded.complain(item("listeners", i, "certificate"), tls.error().detail);
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const auto& one = config.routes[i];
    if (one.client_certificate.path.empty()) continue;
    const auto certificate = net::ClientCertificate::load({one.client_certificate.path, one.client_key.path});
    if (!certificate) loaded.complain(item("routes", i, "client_certificate"), certificate.error().detail);
  }
  if (!config.postmaster.empty()) {
    const auto parsed = smtp::Mailbox::parse(config.postmaster);
    const auto* mailbox = std::get_if<smtp::Mailbox>(&parsed);
    if (mailbox == nullptr || mailbox->is_null() || mailbox->is_bare_postmaster())
      loaded.complain("postmaster", "'" + config.postmaster + "' is not an address; allowed: user@domain");
  }
  const auto tls = net::ClientTls::load(tls_options(config));
  if (!tls) loaded.complain("tls.ca_file", tls.error().detail);
}

}  // namespace hoplock::daemon
