// SPDX-License-Identifier: Apache-2.0
#include "store/stored.h"

#include <zlib.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/fnv1a.h"
#include "base/json_line.h"

namespace hoplock::store {
namespace {

// message.flags, on disk (DUR-06): a bit may be added, none changes its meaning.
enum Flag : std::int64_t {
  eight_bit = 1,
  binary = 2,
  utf8 = 4,
  requires_tls = 8,
  tls_required_no = tls_not_required,
  ret_full = 32,
  ret_headers = 64,
  report = 128,
  notice = 256,
};

// Folded: stable over releases, for it is on disk.
std::uint32_t hash(std::string_view text) {
  const std::uint64_t value = fnv1a(to_lower(text));
  return static_cast<std::uint32_t>(value ^ (value >> 32U));
}

std::string_view domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view{} : address.substr(at + 1);
}

std::string address_list(const std::vector<NewRecipient>& recipients) {
  std::string list = "[";
  for (const auto& one : recipients) {
    if (list.size() > 1) list += ',';
    list += json_string(one.address);
  }
  return list + "]";
}

}  // namespace

std::int64_t flags_of(const Envelope& e) {
  std::int64_t flags = 0;
  if (e.body == Body::eight_bit) flags |= eight_bit;
  if (e.body == Body::binary) flags |= binary;
  if (e.smtputf8) flags |= utf8;
  if (e.requiretls) flags |= requires_tls;
  if (e.tls_required_no) flags |= tls_required_no;
  if (e.ret == Ret::full) flags |= ret_full;
  if (e.ret == Ret::headers) flags |= ret_headers;
  if (e.kind == Kind::report) flags |= report;
  if (e.kind == Kind::notice) flags |= notice;
  return flags;
}

Envelope with_flags(Envelope e, std::int64_t flags) {
  e.body = flags & binary ? Body::binary : flags & eight_bit ? Body::eight_bit : Body::seven_bit;
  e.smtputf8 = (flags & utf8) != 0;
  e.requiretls = (flags & requires_tls) != 0;
  e.tls_required_no = (flags & tls_not_required) != 0;
  e.ret = flags & ret_full ? Ret::full : flags & ret_headers ? Ret::headers : Ret::unset;
  e.kind = flags & report ? Kind::report : flags & notice ? Kind::notice : Kind::ordinary;
  return e;
}

std::uint32_t checksum(std::string_view octets) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const unsigned char*>(octets.data()), octets.size()));
}

State state_after(Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered:
      return State::delivered;
    case Verdict::deferred:
      return State::deferred;
    case Verdict::bounced:
      return State::bounced;
    case Verdict::expired:
      return State::expired;
  }
  return State::deferred;
}

PartyRange party_range(std::string_view domain) {
  const auto first = static_cast<std::int64_t>(static_cast<std::uint64_t>(hash(domain)) << 32U);
  return {first, first | 0xffffffffLL};
}

std::int64_t party_key(std::string_view address) {
  const auto domain = domain_of(address);
  const auto local = address.substr(0, domain.empty() ? address.size() : address.size() - domain.size() - 1);
  return party_range(domain).first | hash(local);
}

std::vector<std::int64_t> party_keys(const Draft& draft) {
  std::vector<std::int64_t> keys{party_key(draft.envelope.sender)};
  for (const auto& one : draft.recipients) keys.push_back(party_key(one.address));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

std::string accepted_line(const Draft& draft) {
  JsonLine line("accepted");
  line.add("from", draft.envelope.sender.empty() ? "<>" : draft.envelope.sender);
  line.add_bare("to", address_list(draft.recipients));
  line.add("size", static_cast<std::int64_t>(draft.size)).add("client", draft.envelope.client);
  line.add("msgid", draft.envelope.msgid).add("envid", draft.envelope.envid);
  return line.text();
}

std::string notice_line(const RoutedNotice& placed) {
  JsonLine line("notice");
  line.add("action", placed.notice.what).add("as", placed.id.text());
  line.add("to", placed.notice.recipient.address);
  return line.text();
}

std::string action_line(const AdminBatch& act) {
  JsonLine line(to_text(act.action));
  line.add("by", act.selection.by_whom);
  if (act.selection.by == Selection::By::domain) line.add("domain", act.selection.domain.text());
  return line.text();
}

}  // namespace hoplock::store
