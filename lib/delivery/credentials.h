// What a route adds to its sessions: a client certificate, a login. Files are read when a session is opened, so a renewed one
// counts without a reload.
#pragma once
#include <memory>

#include "delivery/client.h"
#include "route/options.h"

namespace hoplock::delivery {

struct Credentials {
  std::shared_ptr<const net::ClientCertificate> certificate;
  std::shared_ptr<const Login> login;
};

// The error names the file that is of no use.
Result<Credentials> load_credentials(const route::Route& route);

}  // namespace hoplock::delivery
