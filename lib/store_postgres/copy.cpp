// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/copy.h"

#include <string>
#include <utility>

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

postgres::Batch begin_copy() {
  postgres::Batch batch;
  batch.push_back(postgres::statement("BEGIN"));
  batch.push_back(postgres::statement("SET LOCAL synchronous_commit = on"));
  return batch;
}

void add_progress(postgres::Batch& batch, std::string name, Id last) {
  batch.push_back(postgres::statement(
      "INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name,
      last.value));
}

void add_copied_messages(postgres::Batch& batch, const std::vector<CopiedMessage>& page) {
  Numbers id, received, size, chunks, recipients, flags;
  Texts sender, client;
  MaybeTexts envid;
  for (const CopiedMessage& one : page) {
    id.push_back(one.id.value);
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
      "cl, e FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u (i, r, z, c, n, f, s, cl, e) ON CONFLICT DO NOTHING",
      id, received, size, chunks, recipients, flags, sender, client, envid));
}

void add_copied_chunks(postgres::Batch& batch, const std::vector<CopiedMessage>& page) {
  Numbers message, n, sum;
  std::vector<postgres::Octets> data;
  for (const CopiedMessage& one : page) {
    for (const CopiedChunk& chunk : one.bodies) {
      message.push_back(one.id.value);
      n.push_back(chunk.n);
      sum.push_back(chunk.sum);
      data.push_back({chunk.octets});
    }
  }
  batch.push_back(postgres::statement(
      "INSERT INTO chunk (message, n, sum, data) SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT DO NOTHING", message,
      n, sum, data));
}

void add_copied_recipients(postgres::Batch& batch, const std::vector<CopiedMessage>& page) {
  Numbers message, seq, state, due, attempts, interval, notify;
  MaybeNumbers last;
  Texts domain, destination, address;
  MaybeTexts orcpt, status, reply, reason, host;
  for (const CopiedMessage& of : page) {
    for (const CopiedRecipient& one : of.recipients) {
      message.push_back(of.id.value);
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
                          "dest, ad, o, stat, rep, rea, h) ON "
                          "CONFLICT DO NOTHING",
                          message, due, interval, last, seq, attempts, state, notify, domain, destination, address,
                          orcpt, status, reply, reason, host));
}

class PostgresCopyTarget final : public CopyTarget {
 public:
  explicit PostgresCopyTarget(postgres::BlockingConnection connection) : connection_(std::move(connection)) {}

  Result<Id> mail_done(std::int64_t source) override { return mark(mail_mark(source)); }
  Result<Id> history_done(std::int64_t source) override { return mark(history_mark(source)); }

  Result<> put_mail(std::int64_t source, const std::vector<CopiedMessage>& page) override {
    postgres::Batch batch = begin_copy();
    add_copied_messages(batch, page);
    add_copied_chunks(batch, page);
    add_copied_recipients(batch, page);
    add_progress(batch, mail_mark(source), page.back().id);
    return commit(std::move(batch));
  }
  Result<> put_history(std::int64_t source, const std::vector<CopiedHistory>& page) override {
    Numbers message, at, party_message, key;
    Texts data;
    for (const CopiedHistory& one : page) {
      for (const CopiedHistory::Entry& entry : one.entries) {
        message.push_back(one.id.value);
        at.push_back(entry.at);
        data.push_back(text_of(entry.text));
      }
      for (const std::int64_t party : one.parties) {
        party_message.push_back(one.id.value);
        key.push_back(party);
      }
    }
    postgres::Batch batch = begin_copy();
    batch.push_back(
        postgres::statement("INSERT INTO history (message, at, slot, data) SELECT m, a, 0, d FROM unnest($1, $2, $3) "
                            "WITH ORDINALITY AS u (m, a, d, n) "
                            "ORDER BY n",
                            message, at, data));
    batch.push_back(postgres::statement(
        "INSERT INTO party (key, message) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING", key, party_message));
    add_progress(batch, history_mark(source), page.back().id);
    return commit(std::move(batch));
  }
  Result<> put_rest(const std::vector<CopiedHold>& holds, const std::vector<CopiedPolicy>& policies,
                    const std::vector<CopiedPartner>& partners, Id last_id) override {
    postgres::Batch batch = begin_copy();
    for (const CopiedHold& one : holds)
      batch.push_back(
          postgres::statement("INSERT INTO hold (destination, until, failures, interval, last, status, reply, reason, "
                              "host) VALUES ($1, $2, $3, $4, $5, $6, "
                              "$7, $8, $9) ON CONFLICT DO NOTHING",
                              text_of(one.destination), one.until, one.failures, one.interval, one.last,
                              text_of(one.status), text_of(one.reply), text_of(one.reason), text_of(one.host)));
    for (const CopiedPolicy& one : policies) add_policy(batch, one);
    if (!partners.empty()) add_partners(batch, partners);
    for (std::int64_t slot = 0; slot < id_slots; ++slot)
      batch.push_back(
          postgres::statement("INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
                              "greatest(mark.value, excluded.value)",
                              "id:" + std::to_string(slot), last_id.value));
    return commit(std::move(batch));
  }

 private:
  static std::string mail_mark(std::int64_t source) { return "copy:" + std::to_string(source); }
  static std::string history_mark(std::int64_t source) { return "copy-history:" + std::to_string(source); }
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
  Result<> commit(postgres::Batch batch) {
    batch.push_back(postgres::statement("COMMIT"));
    auto done = connection_.run(batch, copy_patience);
    if (!done) return done.error();
    return {};
  }

  postgres::BlockingConnection connection_;
};

}  // namespace

std::unique_ptr<store::CopyTarget> copy_target(postgres::BlockingConnection connection) {
  return std::make_unique<PostgresCopyTarget>(std::move(connection));
}

}  // namespace hoplock::store_postgres
