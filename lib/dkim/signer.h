// SPDX-License-Identifier: Apache-2.0
// Signs a message while it streams by (RFC 6376 section 5, RFC 8463): relaxed/relaxed, without l=, every field that a forger could
// add signed once more than it is there (section 8.15). The message is read and never changed; its body is not kept.
//
// Signs for configured domains only, chosen by the From field (DKIM-08). What it cannot sign so that every verifier reads the same
// (no or several From fields, a header that ends without an empty line, one that is larger than it keeps) it leaves
// unsigned, and says why.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "dkim/canonical.h"
#include "dkim/key.h"
#include "dns/name.h"

namespace hoplock::dkim {

// Of a key that asks the DNS before it signs (dkim/rotation.h).
struct Standing {
  std::optional<bool> published;  // whether the DNS holds its public half; nothing: not known yet
  bool signs = true;
};

// Who signs: one d=, s= and key.
struct Identity {
  dns::Name domain;
  std::string selector;
  std::shared_ptr<const Key> key;
  // Null: it always signs. Whoever looks at the DNS writes it, whoever has the identity sees it.
  std::shared_ptr<Standing> standing{};
};

// A domain may have several identities. Those of different algorithms (one RSA, one Ed25519) each make a signature; those of one
// algorithm follow one another (dkim/rotation.h), the newest last.
class Keyring {
 public:
  // Errors: a selector that is no name, one that a domain has twice.
  static Result<Keyring> make(std::vector<Identity> identities);
  const std::vector<Identity>& all() const { return identities_; }
  // Those that may sign now.
  std::vector<Identity> for_domain(const dns::Name& domain) const;

 private:
  std::vector<Identity> identities_;
};

struct Signed {
  std::string fields;   // DKIM-Signature fields to put before the message, each with its CRLF; empty: unsigned
  std::string why_not;  // for unsigned: one sentence
};

class Signer {
 public:
  static constexpr std::size_t most_header = std::size_t{1} << 20;  // octets of header that are kept until it ends
  static constexpr std::size_t most_signed_fields = 100;

  // Only `keyring`'s identities for the message's From domain sign.
  explicit Signer(std::shared_ptr<const Keyring> keyring);
  // The whole message, header first, in any split.
  void feed(std::string_view octets);
  // False as soon as it is known that there will be no signature: the rest need not be fed.
  bool is_signing() const { return state_ != State::unsigned_; }
  // Error: OpenSSL failed. REQUIRES: called once, after the last feed.
  Result<Signed> finish(Time now);

 private:
  enum class State : std::uint8_t { header, body, unsigned_ };
  void take_header(std::string_view& octets);
  void end_header();
  void give_up(std::string why);
  Result<std::string> sign(const Identity& identity, const std::string& body_hash, Time now) const;

  std::shared_ptr<const Keyring> keyring_;
  State state_ = State::header;
  std::string header_;
  std::vector<Identity> identities_;
  std::vector<std::string> names_;  // h=, oversigned ones among them
  Sha256 header_hash_;              // of the fields in `names_`
  BodyHash body_hash_;
  std::string why_not_;
};

}  // namespace hoplock::dkim
