// SPDX-License-Identifier: Apache-2.0
#include "dkim/record.h"

#include <algorithm>
#include <set>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::dkim {

namespace {
bool is_tag_name(std::string_view name) {
  return !name.empty() && is_alpha(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

std::vector<std::string> list(std::string_view value) {
  std::vector<std::string> parts;
  for (const auto part : split(value, ':')) parts.emplace_back(trim(part));
  return parts;
}

std::string without_blanks(std::string_view value) {
  std::string out;
  std::copy_if(value.begin(), value.end(), std::back_inserter(out),
               [](char c) { return c != ' ' && c != '\t' && c != '\r' && c != '\n'; });
  return out;
}

bool has(const std::vector<std::string>& values, std::string_view wanted) {
  return std::find(values.begin(), values.end(), wanted) != values.end();
}

void set(KeyRecord& record, std::string_view name, std::string_view value) {
  if (name == "k") record.kind = value;
  if (name == "p") record.public_key = without_blanks(value);
  if (name == "s") record.services = list(value);
  if (name == "h") record.hashes = list(value);
  if (name == "t") record.flags = list(value);
}
}  // namespace

Result<KeyRecord> parse_record(std::string_view txt) {
  KeyRecord record;
  std::set<std::string_view> seen;
  for (const auto part : split(txt, ';')) {
    const auto tag = trim(part);
    if (tag.empty()) continue;
    const std::size_t equals = tag.find('=');
    const auto name = trim(tag.substr(0, equals));
    if (equals == std::string_view::npos || !is_tag_name(name))
      return bad_input("the key record has a part that is no tag");
    if (!seen.insert(name).second) return bad_input("the key record has the tag " + to_one_line(name, 40) + " twice");
    const auto value = trim(tag.substr(equals + 1));
    // RFC 6376 section 3.6.1: the first tag, and then with this value
    if (name == "v" && (seen.size() != 1 || value != "DKIM1"))
      return bad_input("the key record's version is not DKIM1");
    set(record, name, value);
  }
  if (seen.count("p") == 0) return bad_input("the key record has no p= tag");
  return record;
}

std::vector<std::string> complaints(const KeyRecord& record, const Key& key, Use use) {
  std::vector<std::string> all;
  const std::string kind = key.algorithm() == Algorithm::rsa_sha256 ? "rsa" : "ed25519";
  if (record.public_key.empty()) {
    all.emplace_back("the key is revoked: p= is empty");
  } else if (record.kind != kind) {
    all.push_back("the record is for a key of another kind: k=" + to_one_line(record.kind, 40));
  } else if (record.public_key != key.public_key()) {
    all.emplace_back("the record holds another key than the one that signs");
  }
  if (!record.hashes.empty() && !has(record.hashes, "sha256")) all.emplace_back("h= does not allow sha256");
  if (has(record.flags, "y")) all.emplace_back("t=y tells verifiers to ignore the signature");
  if (has(record.services, "*")) return all;
  if (!has(record.services, "email")) all.emplace_back("s= does not allow email: ordinary verifiers ignore the key");
  if (use == Use::mail_and_reports && !has(record.services, "tlsrpt")) {
    all.emplace_back("s= does not allow tlsrpt: receivers may refuse the TLS reports");
  }
  return all;
}

}  // namespace hoplock::dkim
