// SPDX-License-Identifier: Apache-2.0
// Writes notices of every kind into a directory, for verify.py: what does a parser that is not ours make of them?
#include <fstream>
#include <iostream>

#include "tests/dsn/samples.h"

using namespace hoplock;
using namespace hoplock::dsn;
using namespace hoplock::dsn::samples;

int main(int count, char** arguments) {
  if (count != 2) return 64;
  const std::string directory = arguments[1];
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(directory + "/" + name, std::ios::binary) << text;
  };
  write("failed", whole(notice(refused()), headers()));
  Notice several = notice(tlsa_mismatch());
  several.envid = "a+20b";
  several.recipients.push_back(refused());
  several.recipients[1].orcpt = "rfc822;b+2Bob@partner.example";
  Content full = headers();
  full.what = Return::message;
  write("full", whole(several, full));
  Notice delayed = notice(tlsa_mismatch());
  delayed.action = Action::delayed;
  delayed.retry_until = at("2026-11-26T10:00:00Z");
  write("delayed", whole(delayed, headers()));
  const std::string latin = "Subject: caf\xe9\r\nFrom: a@b\r\n\r\nbody\xe9\r\n";
  Content eight = headers(latin);
  eight.octets = Content::Octets::eight_bit;
  write("eight-headers", whole(notice(refused()), eight));
  eight.what = Return::message;
  write("eight-full", whole(notice(refused()), eight));
  Notice hostile = notice(refused());
  hostile.recipients[0].reply =
      "550 no\r\nBcc: x@evil.example\r\n\r\n--=_hoplock-5f2e9a7c31d0\r\n\x1b[31m" + std::string(2000, 'w');
  write("hostile", whole(hostile, headers()));
  Content nothing = headers();
  nothing.what = Return::nothing;
  write("redacted", whole(notice(refused()), nothing));
  return 0;
}
