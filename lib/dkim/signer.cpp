// SPDX-License-Identifier: Apache-2.0
#include "dkim/signer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"
#include "dkim/author.h"
#include "dkim/field.h"

namespace hoplock::dkim {

namespace {
// DKIM-03: nobody may add one more of these.
constexpr std::array<std::string_view, 12> oversigned{"From",
                                                      "To",
                                                      "Cc",
                                                      "Subject",
                                                      "Date",
                                                      "Message-ID",
                                                      "Reply-To",
                                                      "MIME-Version",
                                                      "Content-Type",
                                                      "Content-Transfer-Encoding",
                                                      "TLS-Report-Domain",
                                                      "TLS-Report-Submitter"};
// Signed where they are. Received and Return-Path are the mail system's own, and change on the way.
constexpr std::array<std::string_view, 14> also_signed{
    "Sender",           "In-Reply-To", "References", "Content-ID", "Content-Disposition", "Content-Description",
    "Content-Language", "List-Post",   "List-Id",    "List-Help",  "List-Unsubscribe",    "List-Unsubscribe-Post",
    "List-Subscribe",   "List-Archive"};

struct Field {
  std::string_view name;
  std::string_view whole;  // without its final CRLF
  std::string_view value() const { return whole.substr(whole.find(':') + 1); }
};

std::optional<Field> as_field(std::string_view whole) {
  const std::size_t colon = whole.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view name = whole.substr(0, colon);
  while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
  const bool good = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return good ? std::optional(Field{name, whole}) : std::nullopt;
}

// All fields in order; nothing if a line is neither field nor continuation.
std::optional<std::vector<Field>> fields_of(std::string_view header) {
  std::vector<Field> fields;
  while (!header.empty()) {
    std::size_t end = header.find(crlf);
    while (end != std::string_view::npos && end + 2 < header.size() && is_blank(header[end + 2])) {
      end = header.find(crlf, end + 2);
    }
    const auto field = as_field(header.substr(0, end));
    if (!field) return std::nullopt;
    fields.push_back(*field);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + crlf.size());
  }
  return fields;
}

bool is_label_octet(char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_'; }

// RFC 6376 section 3.1: sub-domains. Names of the DNS, for nobody asks for others.
bool is_selector(std::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  const auto labels = split(text, '.');
  return std::all_of(labels.begin(), labels.end(), [](std::string_view label) {
    return !label.empty() && label.size() <= 63 && std::all_of(label.begin(), label.end(), is_label_octet);
  });
}
}  // namespace

Result<Keyring> Keyring::make(std::vector<Identity> identities) {
  Keyring ring;
  for (auto& one : identities) {
    if (!is_selector(one.selector)) return bad_input("\"" + one.selector + "\" is no DKIM selector");
    const bool twice = std::any_of(ring.identities_.begin(), ring.identities_.end(), [&](const Identity& other) {
      return other.domain == one.domain && equals_ignoring_case(other.selector, one.selector);
    });
    if (twice) return bad_input("selector " + one.selector + " of " + one.domain.text() + " is there twice");
    ring.identities_.push_back(std::move(one));
  }
  return ring;
}

std::vector<Identity> Keyring::for_domain(const dns::Name& domain) const {
  std::vector<Identity> found;
  std::copy_if(identities_.begin(), identities_.end(), std::back_inserter(found),
               [&](const Identity& one) { return one.domain == domain && (!one.standing || one.standing->signs); });
  return found;
}

Signer::Signer(std::shared_ptr<const Keyring> keyring) : keyring_(std::move(keyring)) {
  if (keyring_->all().empty()) give_up("no domain is configured for signing");
}

void Signer::feed(std::string_view octets) {
  if (state_ == State::header) take_header(octets);
  if (state_ == State::body) body_hash_.feed(octets);
}

// Takes the header's part of `octets`; what is left is the body's.
void Signer::take_header(std::string_view& octets) {
  const std::size_t known = header_.size();
  header_ += octets.substr(0, std::min(octets.size(), most_header + 1 - known));
  if (header_.starts_with(crlf)) return give_up("the message has no header");
  const std::size_t end = header_.find("\r\n\r\n", known < 3 ? 0 : known - 3);
  if (end == std::string::npos) {
    if (header_.size() > most_header) give_up("the header is larger than " + std::to_string(most_header) + " octets");
    return;
  }
  octets.remove_prefix(end + 4 - known);
  header_.resize(end + 2);
  end_header();
}

void Signer::end_header() {
  const auto fields = fields_of(header_);
  if (!fields) return give_up("a line of the header is no field");
  const auto is = [](std::string_view name) {
    return [name](const Field& field) { return equals_ignoring_case(field.name, name); };
  };
  const auto from_fields = std::count_if(fields->begin(), fields->end(), is("From"));
  if (from_fields != 1) return give_up("the message has " + std::to_string(from_fields) + " From fields");
  const auto domain = author_domain(std::find_if(fields->begin(), fields->end(), is("From"))->value());
  if (!domain) return give_up("the From field names no domain, or more than one");
  identities_ = keyring_->for_domain(*domain);
  if (identities_.empty()) return give_up("no key is configured for " + domain->text());

  // Instances are signed from the bottom up (RFC 6376 section 5.4.2): h= names each once, and one more says that there is none.
  const auto sign_all = [&](std::string_view name) {
    for (auto field = fields->rbegin(); field != fields->rend(); ++field) {
      if (!equals_ignoring_case(field->name, name)) continue;
      names_.emplace_back(name);
      header_hash_.update(relaxed_field(field->whole));
    }
  };
  for (const auto name : oversigned) {
    sign_all(name);
    names_.emplace_back(name);
  }
  for (const auto name : also_signed) sign_all(name);
  if (names_.size() > most_signed_fields) return give_up("the header has too many fields to sign");
  header_ = {};
  state_ = State::body;
}

void Signer::give_up(std::string why) {
  why_not_ = std::move(why);
  header_ = {};
  state_ = State::unsigned_;
}

Result<Signed> Signer::finish(Time now) {
  if (state_ == State::header) end_header();  // no body, and no empty line before it
  if (state_ == State::unsigned_) return Signed{{}, why_not_};
  const std::string body_hash = body_hash_.finish();
  Signed done;
  for (const auto& identity : identities_) {
    auto field = sign(identity, body_hash, now);
    if (!field) return field.error();
    done.fields += *field;
  }
  return done;
}

Result<std::string> Signer::sign(const Identity& identity, const std::string& body_hash, Time now) const {
  std::string field = unsigned_field(identity, names_, body_hash, now);
  Sha256 hash = header_hash_.fork();
  std::string last = relaxed_field(field);
  last.resize(last.size() - crlf.size());  // RFC 6376 section 3.7
  hash.update(last);
  const auto signature = identity.key->sign(hash.finish());
  if (!signature) return signature.error();
  return with_signature(std::move(field), *signature);
}

}  // namespace hoplock::dkim
