// SPDX-License-Identifier: Apache-2.0
// Canonicalising and signing: the same in every split, and the From parser takes anything; so does what is remembered of keys.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "dkim/author.h"
#include "dkim/canonical.h"
#include "dkim/record.h"
#include "dkim/rotation.h"
#include "dkim/signer.h"

using namespace hoplock;
using namespace hoplock::dkim;

namespace {
// An Ed25519 key: signatures are deterministic, and cheap.
constexpr const char* pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

std::shared_ptr<const Keyring> keyring() {
  static const auto made =
      std::make_shared<const Keyring>(Keyring::make({{dns::Name::parse("example.net").value(), "s",
                                                      std::make_shared<const Key>(Key::parse(pem).value())}})
                                          .value());
  return made;
}

std::string hash(std::string_view body, std::size_t step) {
  BodyHash made;
  for (std::size_t at = 0; at < body.size(); at += step) made.feed(body.substr(at, step));
  return made.finish();
}

Signed sign(std::string_view message, std::size_t step) {
  Signer signer(keyring());
  for (std::size_t at = 0; at < message.size(); at += step) signer.feed(message.substr(at, step));
  return signer.finish(Time{}).value();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  const std::string whole = hash(content, 65536);
  if (whole != hash(content, 1) || whole != hash(content, 3)) std::abort();
  if (whole != hash(std::string(content) + "\r\n", 65536)) {  // one line end more is no difference, but behind a CR
    if (content.empty() || content.back() != '\r') std::abort();
  }
  const Signed once = sign(content, 65536);
  const Signed again = sign(content, 7);
  if (once.fields != again.fields || once.why_not != again.why_not) std::abort();
  if (once.fields.empty() == once.why_not.empty()) std::abort();
  if (const auto domain = author_domain(content); domain && domain->is_root()) std::abort();
  if (const Pasts pasts = parse_pasts(content); parse_pasts(to_text(pasts)) != pasts) std::abort();
  if (const auto record = parse_record(content))
    complaints(*record, *keyring()->all().front().key, Use::mail_and_reports);
  return 0;
}
