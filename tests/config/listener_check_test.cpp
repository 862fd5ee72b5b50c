// SPDX-License-Identifier: Apache-2.0
// What must hold between the keys of a listener about who may relay, and of a route about whom a password is told.
#include <doctest/doctest.h>

#include "config/check.h"

namespace config_listener_check_test {

using namespace hoplock::config;

TEST_CASE("check: logins and client certificates need what they are looked up in, and TLS") {
  struct Row {
    const char* listener;
    const char* error;    // begins with; "": none
    const char* warning;  // contains; "": none
  };
  for (const Row& row : {
           Row{"auth: true, users_file: /dev/null", "", ""},
           Row{"auth: true", "h.yaml:3:12: logins need a users_file", ""},
           Row{"auth: true, users_file: /dev/null, tls: none", "h.yaml:3:12: logins are taken inside TLS only", ""},
           Row{"auth: true, users_file: /nowhere/users", "h.yaml:3:30: there is no file '/nowhere/users'", ""},
           Row{"users_file: /dev/null", "", "has no effect without 'auth: true'"},
           Row{"client_ca: /dev/null, client_names: [a.example]", "", ""},
           Row{"client_ca: /dev/null", "", "lets nobody relay as long as 'client_names' is empty"},
           Row{"client_names: [a.example]", "h.yaml:3:20: names prove nothing without a client_ca", ""},
           Row{"client_ca: /dev/null, client_names: [\"*\"]", "h.yaml:3:42: '*' would let every certificate", ""},
           Row{"client_ca: /dev/null, client_names: [\"a b\"]", "h.yaml:3:", ""},
           Row{"client_ca: /dev/null, client_names: [a.example], tls: none", "h.yaml:3:17: certificates come with TLS",
               ""},
       }) {
    CAPTURE(row.listener);
    const std::string text = "limits: {}\nlisteners:\n  - {" + std::string(row.listener) + "}\n";
    auto loaded = read_text(text, "h.yaml", "");
    check(loaded);
    std::string errors;
    for (const auto& error : loaded.errors) errors += error + "\n";
    CAPTURE(errors);
    CHECK(loaded.errors.empty() == (*row.error == '\0'));
    if (*row.error != '\0') CHECK(errors.find(row.error) != std::string::npos);
    std::string warnings;
    for (const auto& warning : loaded.warnings) warnings += warning + "\n";
    CAPTURE(warnings);
    if (*row.warning == '\0') CHECK(warnings.find("h.yaml:3") == std::string::npos);
    if (*row.warning != '\0') CHECK(warnings.find(row.warning) != std::string::npos);
  }
}

TEST_CASE("check: a password that goes to whoever answers is a warning that names the better setting") {
  const struct {
    const char* tls;
    bool warned;
  } rows[] = {{"", true},
              {", tls: opportunistic", true},
              {", tls: encrypt", true},
              {", tls: dane", true},
              {", tls: verify", false},
              {", tls: dane-only", false}};
  for (const auto& row : rows) {
    CAPTURE(row.tls);
    auto loaded =
        read_text("routes:\n  - {match: [a.example], hosts: [\"b.example:25\"], username: u, password_file: /dev/null" +
                      std::string(row.tls) + "}\n",
                  "h.yaml", "");
    check(loaded);
    CHECK(loaded.errors.empty());
    bool warned = false;
    for (const auto& warning : loaded.warnings)
      warned = warned || warning.find("'tls: verify' (or 'dane-only')") != std::string::npos;
    CHECK(warned == row.warned);
  }
}

}  // namespace config_listener_check_test
