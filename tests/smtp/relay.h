// SPDX-License-Identifier: Apache-2.0
// The relay whose sessions the tests of this folder speak to.
#pragma once
#include "smtp/session.h"

namespace hoplock::smtp::test {

inline SessionOptions options() {
  SessionOptions some;
  some.hostname = "relay.example.net";
  some.postmaster = std::get<Mailbox>(Mailbox::parse("admin@ops.example"));
  return some;
}

// The codes at the start of the reply: "250 2.1.0", "354".
inline std::string code_of(const Reply& reply) {
  return std::to_string(reply.code) + (reply.status ? " " + reply.status->text() : "");
}

}  // namespace hoplock::smtp::test
