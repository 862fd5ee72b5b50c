// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/copy.h"

#include <map>
#include <string>
#include <utility>

#include "postgres/errors.h"
#include "store/stored.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using namespace store;

namespace {

constexpr Milliseconds copy_patience{120'000};  // of one page, the standby's disk included
constexpr std::int64_t id_slots = 16;

using Numbers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;
using MaybeTexts = std::vector<std::optional<std::string>>;
using MaybeNumbers = std::vector<std::optional<std::int64_t>>;

std::optional<std::string> maybe_text_of(const std::optional<std::string>& text) {
  return text ? std::optional(text_of(*text)) : std::nullopt;
}

// The ids that are somebody else's in the target, and those that their mail gets instead.
using Renamed = std::map<std::int64_t, std::int64_t>;
std::int64_t named(const Renamed& renamed, Id id) {
  const auto found = renamed.find(id.value);
  return found == renamed.end() ? id.value : found->second;
}

constexpr std::string_view is_taken =
    "(EXISTS (SELECT FROM message WHERE id = i) OR EXISTS (SELECT FROM draft WHERE message = i) OR EXISTS (SELECT FROM "
    "chunk WHERE message = i) OR EXISTS (SELECT FROM recipient WHERE message = i) OR EXISTS (SELECT FROM history WHERE "
    "message = i) OR EXISTS (SELECT FROM party WHERE message = i))";

// The first of a page: it divides by zero where another copy of the same source went on from there.
postgres::Batch begin_page(const std::string& name, Id after, Id last) {
  postgres::Batch batch;
  batch.push_back(postgres::statement(
      "WITH moved AS (INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE "
      "SET value = excluded.value WHERE mark.value = $3 RETURNING 1) SELECT 1 / count(*) FROM moved",
      name, last.value, after.value));
  return batch;
}

void add_count(postgres::Batch& batch, const std::string& name, std::int64_t more) {
  batch.push_back(
      postgres::statement("INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
                          "mark.value + excluded.value",
                          name, more));
}

void add_raised(postgres::Batch& batch, std::int64_t slot, std::int64_t id) {
  batch.push_back(
      postgres::statement("INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
                          "greatest(mark.value, excluded.value)",
                          "id:" + std::to_string(slot), id));
}

void add_copied_messages(postgres::Batch& batch, const std::vector<CopiedMessage>& page, const Renamed& renamed) {
  Numbers id, received, size, chunks, recipients, flags;
  Texts sender, client;
  MaybeTexts envid;
  for (const CopiedMessage& one : page) {
    id.push_back(named(renamed, one.id));
    received.push_back(one.received);
    size.push_back(one.size);
    chunks.push_back(one.chunks);
    recipients.push_back(one.recipients_were);
    flags.push_back(one.flags);
    sender.push_back(text_of(one.sender));
    client.push_back(text_of(one.client));
    envid.push_back(maybe_text_of(one.envid));
  }
  batch.push_back(postgres::statement(
      "INSERT INTO message (id, received, size, chunks, recipients, flags, slot, sender, client, envid) SELECT i, r, "
      "z, c, n, f, 0, s, "
      "cl, e FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u (i, r, z, c, n, f, s, cl, e)",
      id, received, size, chunks, recipients, flags, sender, client, envid));
}

// What is there must be what was read.
void add_copied_chunks(postgres::Batch& batch, const std::vector<CopiedMessage>& page, const Renamed& renamed,
                       const CopiedTotals& read) {
  Numbers message, n, sum;
  std::vector<postgres::Octets> data;
  for (const CopiedMessage& one : page) {
    for (const CopiedChunk& chunk : one.bodies) {
      message.push_back(named(renamed, one.id));
      n.push_back(chunk.n);
      sum.push_back(chunk.sum);
      data.push_back({chunk.octets});
    }
  }
  batch.push_back(postgres::statement(
      "WITH put AS (INSERT INTO chunk (message, n, sum, data) SELECT * FROM unnest($1, $2, $3, $4) RETURNING "
      "octet_length(data) AS octets, chunk.sum AS checked) SELECT 1 / (count(*) = $5 AND coalesce(sum(octets), 0) = $6 "
      "AND coalesce(sum(checked), 0) = $7)::int FROM put",
      message, n, sum, data, read.chunks, read.octets, read.sums));
}

void add_copied_recipients(postgres::Batch& batch, const std::vector<CopiedMessage>& page, const Renamed& renamed) {
  Numbers message, seq, state, due, attempts, interval, notify;
  MaybeNumbers last;
  Texts domain, destination, address;
  MaybeTexts orcpt, status, reply, reason, host;
  for (const CopiedMessage& of : page) {
    for (const CopiedRecipient& one : of.recipients) {
      message.push_back(named(renamed, of.id));
      seq.push_back(one.seq);
      state.push_back(one.state);
      due.push_back(one.due);
      attempts.push_back(one.attempts);
      interval.push_back(one.interval);
      notify.push_back(one.notify);
      last.push_back(one.last);
      domain.push_back(one.domain);
      destination.push_back(text_of(one.destination));
      address.push_back(text_of(one.address));
      orcpt.push_back(maybe_text_of(one.orcpt));
      status.push_back(maybe_text_of(one.status));
      reply.push_back(maybe_text_of(one.reply));
      reason.push_back(maybe_text_of(one.reason));
      host.push_back(maybe_text_of(one.host));
    }
  }
  batch.push_back(
      postgres::statement("INSERT INTO recipient (message, due, owner, interval, last, seq, attempts, state, notify, "
                          "domain, destination, address, orcpt, "
                          "status, reply, reason, host) SELECT m, d, 0, i, l, s, a, st, n, dom, dest, ad, o, stat, "
                          "rep, rea, h FROM unnest($1, $2, $3, $4, "
                          "$5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) AS u (m, d, i, l, s, a, st, n, dom, "
                          "dest, ad, o, stat, rep, rea, h)",
                          message, due, interval, last, seq, attempts, state, notify, domain, destination, address,
                          orcpt, status, reply, reason, host));
}

CopiedTotals totals_of(const std::vector<CopiedMessage>& page) {
  CopiedTotals read;
  read.messages = static_cast<std::int64_t>(page.size());
  for (const CopiedMessage& one : page) {
    read.recipients += static_cast<std::int64_t>(one.recipients.size());
    read.chunks += static_cast<std::int64_t>(one.bodies.size());
    for (const CopiedChunk& chunk : one.bodies) {
      read.octets += static_cast<std::int64_t>(chunk.octets.size());
      read.sums += chunk.sum;
    }
  }
  return read;
}

class PostgresCopyTarget final : public CopyTarget {
 public:
  PostgresCopyTarget(postgres::BlockingConnection connection, postgres::Synchronous synchronous)
      : connection_(std::move(connection)), synchronous_(synchronous) {}

  Result<Id> mail_done(std::int64_t source) override { return mark(mail_mark(source)); }
  Result<Id> history_done(std::int64_t source) override { return mark(history_mark(source)); }

  Result<> put_mail(std::int64_t source, Id after, const std::vector<CopiedMessage>& page) override {
    Numbers ids;
    for (const CopiedMessage& one : page) ids.push_back(one.id.value);
    const auto renamed = rename(ids, ids);
    if (!renamed) return renamed.error();
    const CopiedTotals read = totals_of(page);
    postgres::Batch batch = begin_page(mail_mark(source), after, page.back().id);
    add_copied_messages(batch, page, *renamed);
    add_copied_chunks(batch, page, *renamed, read);
    add_copied_recipients(batch, page, *renamed);
    for (const auto& [from, to] : *renamed) {
      add_count(batch, id_mark(source, from), to);
      add_raised(batch, to % id_slots, to);
    }
    add_count(batch, "copy-messages:" + std::to_string(source), read.messages);
    add_count(batch, "copy-recipients:" + std::to_string(source), read.recipients);
    add_count(batch, "copy-chunks:" + std::to_string(source), read.chunks);
    add_count(batch, "copy-octets:" + std::to_string(source), read.octets);
    add_count(batch, "copy-sums:" + std::to_string(source), read.sums);
    return commit(batch);
  }
  Result<> put_history(std::int64_t source, Id after, const std::vector<CopiedHistory>& page) override {
    const auto renamed = renamed_of(source, page);
    if (!renamed) return renamed.error();
    Numbers message, at, party_message, key;
    Texts data;
    for (const CopiedHistory& one : page) {
      for (const CopiedHistory::Entry& entry : one.entries) {
        message.push_back(named(*renamed, one.id));
        at.push_back(entry.at);
        data.push_back(text_of(entry.text));
      }
      for (const std::int64_t party : one.parties) {
        party_message.push_back(named(*renamed, one.id));
        key.push_back(party);
      }
    }
    postgres::Batch batch = begin_page(history_mark(source), after, page.back().id);
    batch.push_back(
        postgres::statement("INSERT INTO history (message, at, slot, data) SELECT m, a, 0, d FROM unnest($1, $2, $3) "
                            "WITH ORDINALITY AS u (m, a, d, n) "
                            "ORDER BY n",
                            message, at, data));
    batch.push_back(postgres::statement(
        "INSERT INTO party (key, message) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING", key, party_message));
    add_count(batch, "copy-lines:" + std::to_string(source), static_cast<std::int64_t>(message.size()));
    return commit(batch);
  }
  Result<CopiedTotals> totals(std::int64_t source) override {
    CopiedTotals put;
    const std::pair<const char*, std::int64_t*> all[] = {
        {"copy-messages:", &put.messages}, {"copy-recipients:", &put.recipients},
        {"copy-chunks:", &put.chunks},     {"copy-octets:", &put.octets},
        {"copy-sums:", &put.sums},         {"copy-lines:", &put.history}};
    for (const auto& [name, to] : all) {
      const auto found = mark(name + std::to_string(source));
      if (!found) return found.error();
      *to = found->value;
    }
    return put;
  }
  Result<> put_rest(const std::vector<CopiedHold>& holds, const std::vector<CopiedPolicy>& policies,
                    const std::vector<CopiedPartner>& partners, Id last_id) override {
    postgres::Batch batch;
    for (const CopiedHold& one : holds)
      batch.push_back(
          postgres::statement("INSERT INTO hold (destination, until, failures, interval, last, status, reply, reason, "
                              "host) VALUES ($1, $2, $3, $4, $5, $6, "
                              "$7, $8, $9) ON CONFLICT DO NOTHING",
                              text_of(one.destination), one.until, one.failures, one.interval, one.last,
                              text_of(one.status), text_of(one.reply), text_of(one.reason), text_of(one.host)));
    for (const CopiedPolicy& one : policies) add_policy(batch, one);
    if (!partners.empty()) add_partners(batch, partners);
    for (std::int64_t slot = 0; slot < id_slots; ++slot) add_raised(batch, slot, last_id.value);
    return commit(batch);
  }

 private:
  static std::string mail_mark(std::int64_t source) { return "copy:" + std::to_string(source); }
  static std::string history_mark(std::int64_t source) { return "copy-history:" + std::to_string(source); }
  static std::string id_mark(std::int64_t source, std::int64_t id) {
    return "copy-id:" + std::to_string(source) + ":" + std::to_string(id);
  }
  // For each of `ids` that is taken a free one of the same slot, none of `page`.
  Result<Renamed> rename(const Numbers& ids, Numbers page) {
    auto taken =
        connection_.run(postgres::statement("SELECT i FROM unnest($1) AS u (i) WHERE " + std::string(is_taken), ids));
    if (!taken) return taken.error();
    Renamed renamed;
    for (const auto row : *taken) {
      auto free = connection_.run(
          postgres::statement("SELECT i FROM generate_series($1 + 16, $1 + 16 * 4096, 16) AS g (i) WHERE i <> ALL($2) "
                              "AND NOT " +
                                  std::string(is_taken) + " LIMIT 1",
                              row.integer(0), page));
      if (!free) return free.error();
      if (free->empty()) return fail(errc::io_error, "no id is free near " + Id{row.integer(0)}.text());
      renamed[row.integer(0)] = (*free)[0].integer(0);
      page.push_back((*free)[0].integer(0));
    }
    return renamed;
  }
  // Of what waits, as its mail was named; of what is done, as it is free.
  Result<Renamed> renamed_of(std::int64_t source, const std::vector<CopiedHistory>& page) {
    Numbers all, done;
    Texts waiting;
    for (const CopiedHistory& one : page) {
      all.push_back(one.id.value);
      if (one.waits)
        waiting.push_back(id_mark(source, one.id.value));
      else
        done.push_back(one.id.value);
    }
    auto renamed = rename(done, all);
    if (!renamed) return renamed;
    auto kept = connection_.run(
        postgres::statement("SELECT split_part(name, ':', 3)::bigint, value FROM mark WHERE name = ANY($1)", waiting));
    if (!kept) return kept.error();
    for (const auto row : *kept) (*renamed)[row.integer(0)] = row.integer(1);
    return renamed;
  }
  Result<Id> mark(std::string name) {
    auto rows = connection_.run(postgres::statement("SELECT value FROM mark WHERE name = $1", name));
    if (!rows) return rows.error();
    return rows->empty() ? Id{0} : Id{(*rows)[0].integer(0)};
  }
  static void add_policy(postgres::Batch& batch, const CopiedPolicy& one) {
    std::optional<postgres::Octets> policy;
    if (one.policy) policy = postgres::Octets{*one.policy};
    batch.push_back(postgres::statement(
        "INSERT INTO sts_policy (domain, due, checked, failures, failed, failed_record, reason, error, record, "
        "fetched, max_age, policy) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
        one.domain, one.due, one.checked, one.failures, one.failed, text_of(one.failed_record), text_of(one.reason),
        text_of(one.error), maybe_text_of(one.record), one.fetched, one.max_age, policy));
    if (one.refused)
      batch.push_back(
          postgres::statement("INSERT INTO sts_refused (domain, policy) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                              one.domain, postgres::Octets{*one.refused}));
  }
  // As a batch of its own, behind what the nodes agreed on already; what they have of a domain and rule stays.
  static void add_partners(postgres::Batch& batch, const std::vector<CopiedPartner>& partners) {
    Numbers rule, level, since;
    MaybeNumbers until;
    Texts domain, note, who;
    for (const CopiedPartner& one : partners) {
      domain.push_back(one.domain);
      rule.push_back(one.rule);
      level.push_back(one.level);
      until.push_back(one.until);
      note.push_back(text_of(one.note));
      who.push_back(text_of(one.who));
      since.push_back(one.since);
    }
    batch.push_back(
        postgres::statement("INSERT INTO partner (domain, rule, batch, level, until, note, who, since, told, gone) "
                            "SELECT d, r, (SELECT committed + 1 FROM "
                            "partner_batch), l, u, n, w, s, false, false FROM unnest($1, $2, $3, $4, $5, $6, $7) AS t "
                            "(d, r, l, u, n, w, s) WHERE NOT EXISTS "
                            "(SELECT 1 FROM partner p WHERE p.domain = t.d AND p.rule = t.r)",
                            domain, rule, level, until, note, who, since));
    batch.push_back(postgres::statement("UPDATE partner_batch SET committed = committed + 1"));
  }
  Result<> commit(const postgres::Batch& batch) {
    auto done = connection_.commit(batch, synchronous_, copy_patience);
    if (!done && postgres::has_sqlstate(done.error(), "22012"))
      return fail(errc::io_error, "another copy of it went on meanwhile, or what was written is not what was read");
    return done;
  }

  postgres::BlockingConnection connection_;
  postgres::Synchronous synchronous_;
};

}  // namespace

Result<std::unique_ptr<store::CopyTarget>> copy_target(postgres::BlockingConnection connection,
                                                       postgres::Synchronous synchronous) {
  // Held by the session: what a killed copy left under way has ended, too, before it is asked how far that came.
  postgres::Batch alone;
  alone.push_back(postgres::statement("SELECT pg_advisory_lock(hashtext('hoplock store copy'))::text"));
  const auto locked = connection.run(alone, copy_patience);
  if (!locked) return locked.error();
  return std::make_unique<PostgresCopyTarget>(std::move(connection), synchronous);
}

Result<> check_standby(postgres::BlockingConnection& connection, postgres::Synchronous synchronous) {
  if (synchronous != postgres::Synchronous::require) return {};
  const auto found = connection.run(
      postgres::statement("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))"));
  if (!found) return found.error();
  if (!(*found)[0].boolean(0))
    return fail(errc::io_error, "the server has no synchronous standby, and store_synchronous is require");
  return {};
}

}  // namespace hoplock::store_postgres
