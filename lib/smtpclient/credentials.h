// SPDX-License-Identifier: Apache-2.0
// What a route adds to its sessions: a client certificate, a login. Files are read when a session is opened, so a renewed one
// counts without a reload.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "route/options.h"
#include "smtpclient/client.h"

namespace hoplock::smtpclient {

struct Credentials {
  std::shared_ptr<const net::ClientCertificate> certificate;
  std::shared_ptr<const Login> login;
};

// The error names the file that is of no use.
Result<Credentials> load_credentials(const route::Route& route);

// The same for who opens many sessions: a certificate that is just being renewed, half written or not fitting its key yet, holds up no
// mail while the one before it is known.
class CredentialStore {
 public:
  Result<Credentials> load(const route::Route& route);

 private:
  using Paths = std::pair<std::string, std::string>;  // certificate and key
  std::map<Paths, std::shared_ptr<const net::ClientCertificate>> good_;
};

}  // namespace hoplock::smtpclient
