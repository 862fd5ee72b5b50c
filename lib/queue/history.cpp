#include "queue/history.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/event_json.h"
#include "queue/act.h"
#include "queue/rows.h"

namespace hoplock::queue {
namespace {

constexpr std::int64_t most_events = 32'000;  // of a message
constexpr int prune_messages = 500;           // at a time
constexpr int prune_parties = 5000;

// FNV-1a, folded: stable over releases, for it is on disk.
std::uint32_t hash(std::string_view text) {
  std::uint64_t value = 14695981039346656037ULL;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(to_lower(c))) * 1099511628211ULL;
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

PartyRange party_range(std::string_view domain) {
  const auto first = static_cast<std::int64_t>(static_cast<std::uint64_t>(hash(domain)) << 32U);
  return {first, first | 0xffffffffLL};
}

std::int64_t party_key(std::string_view address) {
  const auto domain = domain_of(address);
  const auto local = address.substr(0, domain.empty() ? address.size() : address.size() - domain.size() - 1);
  return party_range(domain).first | hash(local);
}

void record_accepted(disk::Tx& tx, const Draft& draft) {
  Event event(Level::info, "accepted");
  event.add("from", draft.envelope.sender.empty() ? "<>" : draft.envelope.sender);
  event.add_bare("to", address_list(draft.recipients));
  event.add("size", static_cast<std::int64_t>(draft.size)).add("client", draft.envelope.client);
  event.add("msgid", draft.envelope.msgid).add("envid", draft.envelope.envid);
  tx.prepare("INSERT INTO history (id, at, data) VALUES (?1, ?2, ?3)")
      .bind(first_key(draft.id), to_millis(draft.received), to_json(event))
      .run();
  std::vector<std::int64_t> keys{party_key(draft.envelope.sender)};
  for (const auto& one : draft.recipients) keys.push_back(party_key(one.address));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  auto insert = tx.prepare("INSERT INTO party (key, message) VALUES (?1, ?2)");
  for (const auto key : keys) insert.bind(key, draft.id.value).run();
}

void record(disk::Tx& tx, Id id, Time at, std::string_view text) {
  if (text.empty()) return;
  std::int64_t next = first_key(id) + 1;
  {
    auto row = tx.prepare("SELECT max(id) FROM history WHERE id BETWEEN ?1 AND ?2");
    if (row.bind(first_key(id), last_key(id)).step() && !row.null(0)) next = row.integer(0) + 1;
  }
  if (next - first_key(id) > most_events) return;
  tx.prepare("INSERT INTO history (id, at, data) VALUES (?1, ?2, ?3)").bind(next, to_millis(at), text).run();
}

void record_notice(disk::Tx& tx, const PlacedNotice& placed, const Draft& draft) {
  record_accepted(tx, draft);
  Event event(Level::info, "notice");
  event.add("action", placed.notice.what).add("as", draft.id.text());
  event.add("to", placed.notice.recipient.address);
  record(tx, placed.notice.about, draft.received, to_json(event));
}

void record_act(disk::Tx& tx, const Act& act, const Acted& acted) {
  Event event(Level::info, to_text(act.action));
  event.add("by", act.selection.by_whom);
  if (act.selection.by == Selection::By::domain) event.add("domain", act.selection.domain.text());
  const std::string text = to_json(event);
  for (const Id id : acted.touched.ids) record(tx, id, act.now, text);
}

namespace {

bool is_over(disk::Tx& tx, Id id, Time before) {
  if (tx.prepare("SELECT 1 FROM message WHERE id = ?1").bind(id.value).step()) return false;
  auto row = tx.prepare("SELECT max(at) FROM history WHERE id BETWEEN ?1 AND ?2");
  return row.bind(first_key(id), last_key(id)).step() && !row.null(0) && row.integer(0) < to_millis(before);
}

std::optional<PruneFrom> prune_events(disk::Tx& tx, Time before, const PruneFrom& from) {
  const auto end = first_key(Id::at(before));
  auto key = from.history;
  for (int i = 0; i < prune_messages; ++i) {
    {
      auto row = tx.prepare("SELECT min(id) FROM history WHERE id >= ?1 AND id < ?2");
      if (!row.bind(key, end).step() || row.null(0)) return PruneFrom{end, true, INT64_MIN, 0};
      key = row.integer(0);
    }
    const Id id = id_of_key(key);
    if (is_over(tx, id, before))
      tx.prepare("DELETE FROM history WHERE id BETWEEN ?1 AND ?2").bind(first_key(id), last_key(id)).run();
    key = last_key(id) + 1;
  }
  return PruneFrom{key, false, INT64_MIN, 0};
}

std::optional<PruneFrom> prune_found(disk::Tx& tx, Time before, PruneFrom from) {
  struct Row {
    std::int64_t key = 0, message = 0;
  };
  std::vector<Row> gone;
  int seen = 0;
  {
    auto rows = tx.prepare(
        "SELECT key, message, message < ?3 AND NOT EXISTS (SELECT 1 FROM history WHERE id = party.message << 15)"
        " FROM party WHERE (key, message) > (?1, ?2) ORDER BY key, message LIMIT ?4");
    for (rows.bind(from.key, from.message, Id::at(before).value, prune_parties); rows.step(); ++seen) {
      from.key = rows.integer(0);
      from.message = rows.integer(1);
      if (rows.integer(2) != 0) gone.push_back({from.key, from.message});
    }
  }
  for (const Row& row : gone)
    tx.prepare("DELETE FROM party WHERE key = ?1 AND message = ?2").bind(row.key, row.message).run();
  if (seen < prune_parties) return {};
  return from;
}

}  // namespace

std::optional<PruneFrom> prune_history(disk::Tx& tx, Time before, const PruneFrom& from) {
  return from.parties ? prune_found(tx, before, from) : prune_events(tx, before, from);
}

}  // namespace hoplock::queue
