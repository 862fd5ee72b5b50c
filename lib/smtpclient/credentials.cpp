// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/credentials.h"

#include <fstream>
#include <iterator>

#include "base/ascii.h"

namespace hoplock::smtpclient {

namespace {

using Certificate = std::shared_ptr<const net::ClientCertificate>;

Result<Certificate> certificate_of(const route::Route& route) {
  if (route.client_certificate.empty()) return Certificate();
  auto certificate = net::ClientCertificate::load({route.client_certificate, route.client_key});
  if (!certificate) return certificate.error();
  return Certificate(std::move(*certificate));
}

Result<std::shared_ptr<const Login>> login_of(const route::Route& route) {
  if (route.username.empty()) return std::shared_ptr<const Login>();
  std::ifstream in(route.password_file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in && text.empty())
    return fail(errc::io_error, "the password file '" + route.password_file + "' cannot be read");
  return std::make_shared<const Login>(Login{route.username, std::string(trim(text))});
}

Result<Credentials> together(Result<Certificate> certificate, const route::Route& route) {
  if (!certificate) return certificate.error();
  auto login = login_of(route);
  if (!login) return login.error();
  Credentials loaded;
  loaded.certificate = std::move(*certificate);
  loaded.login = std::move(*login);
  return loaded;
}

}  // namespace

Result<Credentials> load_credentials(const route::Route& route) { return together(certificate_of(route), route); }

Result<Credentials> CredentialStore::load(const route::Route& route) {
  auto certificate = certificate_of(route);
  const Paths paths(route.client_certificate, route.client_key);
  const auto known = good_.find(paths);
  if (!certificate && known != good_.end()) return together(known->second, route);
  if (certificate && *certificate) good_[paths] = *certificate;
  return together(std::move(certificate), route);
}

}  // namespace hoplock::smtpclient
