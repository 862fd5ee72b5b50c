#include "delivery/credentials.h"

#include <fstream>
#include <iterator>

#include "base/ascii.h"

namespace hoplock::delivery {

Result<Credentials> load_credentials(const route::Route& route) {
  Credentials loaded;
  if (!route.client_certificate.empty()) {
    auto certificate = net::ClientCertificate::load({route.client_certificate, route.client_key});
    if (!certificate) return certificate.error();
    loaded.certificate = std::move(*certificate);
  }
  if (!route.username.empty()) {
    std::ifstream in(route.password_file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in && text.empty())
      return fail(errc::io_error, "the password file '" + route.password_file + "' cannot be read");
    loaded.login = std::make_shared<const Login>(Login{route.username, std::string(trim(text))});
  }
  return loaded;
}

}  // namespace hoplock::delivery
