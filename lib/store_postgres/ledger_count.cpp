// SPDX-License-Identifier: Apache-2.0
// Counting: of a group of deliveries four statements, and one more where something failed.
#include <string>
#include <utility>

#include "store_postgres/ledger_batch.h"
#include "store_postgres/ledger_rows.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

namespace {

using Numbers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

// Accounts for the sessions' own days, and for the first later day whose report is not built where theirs is. In the order of their locks.
constexpr std::string_view make_accounts = R"(
INSERT INTO tlsrpt_account (day, domain, tag)
SELECT w.day, w.domain, left(replace(gen_random_uuid()::text, '-', ''), 12)
FROM (SELECT DISTINCT d.day, k.domain COLLATE "C" AS domain
      FROM unnest($1, $2) AS k(day, domain)
      CROSS JOIN LATERAL (SELECT k.day UNION ALL
        (SELECT s.day FROM (SELECT k.day + generate_series(0, 3660) AS day) s
         WHERE coalesce((SELECT a.state FROM tlsrpt_account a WHERE a.domain = k.domain AND a.day = s.day), 0) < 2
         LIMIT 1)) d(day)) w
WHERE (SELECT true FROM tlsrpt_account a WHERE a.domain = w.domain AND a.day = w.day) IS NULL
ORDER BY w.day, w.domain
ON CONFLICT (domain, day) DO NOTHING)";

// Whoever builds a report locks the accounts of a week up to its day (build_guard, ledger_store.cpp): while the account of a session's own
// day is pinned, none that it may be counted in is built.
constexpr std::string_view pin_accounts = R"(
SELECT count(*) FROM (
  SELECT FROM tlsrpt_account a JOIN unnest($1, $2) AS k(day, domain) ON a.domain = k.domain AND a.day = k.day
  ORDER BY a.day, a.domain FOR KEY SHARE OF a) pinned)";

// $3: the slot. `bound`: what each account has, and may have. A node's accounts of a day may hold so much together beyond what each always
// may: 10 million sessions to 50,000 domains stay below 400 MiB, whatever servers say and however often their policies change. RPT-48: an
// account may hold a thirty-second of what is left of that. However much others take, what is left for one that comes later shrinks
// slowly, and what it always may stays its own.
constexpr std::string_view targets = R"(
WITH target AS MATERIALIZED (
  SELECT k.n, k.domain, a.id, a.day
  FROM unnest($1, $2) WITH ORDINALITY AS k(day, domain, n)
  CROSS JOIN LATERAL (SELECT t.id, t.day FROM tlsrpt_account t
    WHERE t.domain = k.domain AND t.day >= k.day AND t.state < 2 ORDER BY t.day LIMIT 1) a),
account AS (SELECT DISTINCT id, day FROM target),
bound AS (
  SELECT t.id, coalesce(c.elements, 0) AS elements, coalesce(c.octets, 0) AS octets, coalesce(c.details, 0) AS details,
    CASE WHEN coalesce(d.octets, 0) >= 50331648 OR coalesce(d.details, 0) >= 300000 THEN 8 ELSE 100 END AS most_elements,
    least(greatest((50331648 - least(50331648, coalesce(d.octets, 0))) / 32, 8192), 500000) AS most_octets,
    least(greatest((300000 - least(300000, coalesce(d.details, 0))) / 32, 48), 6000) AS most_details
  FROM account t
  LEFT JOIN tlsrpt_count c ON c.account = t.id AND c.slot = $3
  LEFT JOIN tlsrpt_day d ON d.day = t.day AND d.slot = $3))";
static_assert(tlsrpt::Limits{}.policies == 100 && tlsrpt::Limits{}.policy_octets == 500'000 &&
              tlsrpt::Limits{}.details == 6000);

// What is known is asked by scalar subqueries, which the planner never makes a walk over the whole table of. $4, $5: sessions and failures
// of each account; from $6: its elements. What has no room is counted under the same type without its text.
constexpr std::string_view put_elements = R"(,
item AS (
  SELECT t.id AS account, t.domain AS own, e.n, e.type, e.domain, e.text, e.mx_host, e.successes, e.failures,
    octet_length(e.text) + octet_length(e.mx_host) AS octets,
    sha256(convert_to(concat_ws(chr(31), e.type, e.domain, e.text, e.mx_host), 'UTF8')) AS key
  FROM unnest($6, $7, $8, $9, $10, $11, $12) WITH ORDINALITY
    AS e(account, type, domain, text, mx_host, successes, failures, n)
  JOIN target t ON t.n = e.account),
seen AS MATERIALIZED (
  SELECT i.*, coalesce((SELECT true FROM tlsrpt_element x
    WHERE x.account = i.account AND x.slot = $3 AND x.key = i.key), false) AS known
  FROM item i),
ranked AS (
  SELECT s.*, count(*) FILTER (WHERE NOT s.known) OVER w AS nth, sum(s.octets) FILTER (WHERE NOT s.known) OVER w AS upto
  FROM seen s WINDOW w AS (PARTITION BY s.account ORDER BY s.n)),
judged AS MATERIALIZED (
  SELECT r.*, r.known OR (b.elements + r.nth <= b.most_elements AND b.octets + r.upto <= b.most_octets) AS fits
  FROM ranked r JOIN bound b ON b.id = r.account),
placed AS (
  SELECT j.account, j.type, j.successes, j.failures,
    CASE WHEN j.fits THEN j.key
      ELSE sha256(convert_to(concat_ws(chr(31), j.type, j.own, '', ''), 'UTF8')) END AS key,
    CASE WHEN j.fits THEN j.domain ELSE j.own END AS domain,
    CASE WHEN j.fits THEN j.text ELSE '' END AS text,
    CASE WHEN j.fits THEN j.mx_host ELSE '' END AS mx_host
  FROM judged j),
summed AS (
  SELECT p.account, p.key, p.type, p.domain, p.text, p.mx_host, sum(p.successes) AS successes, sum(p.failures) AS failures
  FROM placed p GROUP BY p.account, p.key, p.type, p.domain, p.text, p.mx_host),
made AS (
  SELECT s.account, count(*) AS elements, sum(octet_length(s.text) + octet_length(s.mx_host)) AS octets FROM summed s
  WHERE (SELECT true FROM tlsrpt_element x WHERE x.account = s.account AND x.slot = $3 AND x.key = s.key) IS NULL
  GROUP BY s.account),
put AS (
  INSERT INTO tlsrpt_element AS e (account, slot, key, type, domain, text, mx_host, successes, failures)
  SELECT s.account, $3, s.key, s.type, s.domain, s.text, s.mx_host, s.successes, s.failures FROM summed s
  ON CONFLICT (account, slot, key) DO UPDATE
    SET successes = e.successes + excluded.successes, failures = e.failures + excluded.failures),
days AS (
  INSERT INTO tlsrpt_day AS d (day, slot, octets, details)
  SELECT a.day, $3, sum(m.octets), 0 FROM made m JOIN account a ON a.id = m.account
  GROUP BY a.day HAVING sum(m.octets) > 0
  ON CONFLICT (day, slot) DO UPDATE SET octets = d.octets + excluded.octets)
INSERT INTO tlsrpt_count AS c (account, slot, sessions, failures, elements, octets)
SELECT t.id, $3, sum(k.sessions), sum(k.failures), coalesce(max(m.elements), 0), coalesce(max(m.octets), 0)
FROM target t JOIN unnest($4, $5) WITH ORDINALITY AS k(sessions, failures, n) ON k.n = t.n
LEFT JOIN made m ON m.account = t.id GROUP BY t.id
ON CONFLICT (account, slot) DO UPDATE SET sessions = c.sessions + excluded.sessions,
  failures = c.failures + excluded.failures, elements = c.elements + excluded.elements, octets = c.octets + excluded.octets)";

// $4 to $8: the elements that have details; from $9: these. What has no room is counted with the others of its element and type.
constexpr std::string_view put_details = R"(,
element AS (
  SELECT e.n, t.id AS account, CASE WHEN (
      SELECT true FROM tlsrpt_element x WHERE x.account = t.id AND x.slot = $3
        AND x.key = sha256(convert_to(concat_ws(chr(31), e.type, e.domain, e.text, e.mx_host), 'UTF8')))
    THEN sha256(convert_to(concat_ws(chr(31), e.type, e.domain, e.text, e.mx_host), 'UTF8'))
    ELSE sha256(convert_to(concat_ws(chr(31), e.type, t.domain, '', ''), 'UTF8')) END AS key
  FROM unnest($4, $5, $6, $7, $8) WITH ORDINALITY AS e(account, type, domain, text, mx_host, n)
  JOIN target t ON t.n = e.account),
item AS (
  SELECT e.account, e.key AS element, d.*,
    sha256(convert_to(concat_ws(chr(31), d.type, d.host, d.ip, d.helo, d.sender, d.reason, d.information), 'UTF8')) AS key
  FROM unnest($9, $10, $11, $12, $13, $14, $15, $16, $17) WITH ORDINALITY
    AS d(part, type, host, ip, helo, sender, reason, information, sessions, n)
  JOIN element e ON e.n = d.part),
seen AS MATERIALIZED (
  SELECT i.*, coalesce((SELECT true FROM tlsrpt_detail x
    WHERE x.account = i.account AND x.slot = $3 AND x.element = i.element AND x.key = i.key), false) AS known
  FROM item i),
ranked AS (
  SELECT s.*, count(*) FILTER (WHERE NOT s.known) OVER (PARTITION BY s.account ORDER BY s.n) AS nth FROM seen s),
judged AS MATERIALIZED (
  SELECT r.*, r.known OR b.details + r.nth <= b.most_details AS fits FROM ranked r JOIN bound b ON b.id = r.account),
placed AS (
  SELECT j.account, j.element, j.type, j.sessions,
    CASE WHEN j.fits THEN j.key
      ELSE sha256(convert_to(concat_ws(chr(31), j.type, '', '', '', '', 'other', ''), 'UTF8')) END AS key,
    CASE WHEN j.fits THEN j.host ELSE '' END AS host, CASE WHEN j.fits THEN j.ip ELSE '' END AS ip,
    CASE WHEN j.fits THEN j.helo ELSE '' END AS helo, CASE WHEN j.fits THEN j.sender ELSE '' END AS sender,
    CASE WHEN j.fits THEN j.reason ELSE 'other' END AS reason,
    CASE WHEN j.fits THEN j.information ELSE '' END AS information
  FROM judged j),
summed AS (
  SELECT p.account, p.element, p.key, p.type, p.host, p.ip, p.helo, p.sender, p.reason, p.information,
    sum(p.sessions) AS sessions
  FROM placed p GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
made AS (
  SELECT s.account, count(*) AS details FROM summed s
  WHERE (SELECT true FROM tlsrpt_detail x
    WHERE x.account = s.account AND x.slot = $3 AND x.element = s.element AND x.key = s.key) IS NULL
  GROUP BY s.account),
put AS (
  INSERT INTO tlsrpt_detail AS d (account, slot, element, key, type, receiving_host, receiving_ip, receiving_helo, sending_ip,
    reason, information, sessions)
  SELECT s.account, $3, s.element, s.key, s.type, s.host, s.ip, s.helo, s.sender, s.reason, s.information, s.sessions
  FROM summed s
  ON CONFLICT (account, slot, element, key) DO UPDATE SET sessions = d.sessions + excluded.sessions),
raised AS (
  UPDATE tlsrpt_count c SET details = c.details + m.details FROM made m WHERE c.account = m.account AND c.slot = $3)
INSERT INTO tlsrpt_day AS d (day, slot, octets, details)
SELECT a.day, $3, 0, sum(m.details) FROM made m JOIN account a ON a.id = m.account GROUP BY a.day
ON CONFLICT (day, slot) DO UPDATE SET details = d.details + excluded.details)";

std::string ip_text(const std::optional<Ip>& ip) { return ip ? ip->text() : std::string(); }

// Policies as columns; `account` counts from 1, as WITH ORDINALITY does.
struct Elements {
  Numbers account, type, successes, failures;
  Texts domain, text, mx_host;
  void add(std::int64_t of, const tlsrpt::Sessions& sessions) {
    account.push_back(of);
    type.push_back(static_cast<std::int64_t>(sessions.policy.type));
    domain.push_back(sessions.policy.domain.text());
    text.push_back(text_of(join_lines(sessions.policy.text)));
    mx_host.push_back(text_of(join_lines(sessions.policy.mx_host)));
    successes.push_back(static_cast<std::int64_t>(sessions.successes));
    failures.push_back(static_cast<std::int64_t>(sessions.failures));
  }
};

struct Details {
  Numbers element, type, sessions;
  Texts host, ip, helo, sender, reason, information;
  void add(std::int64_t of, const tlsrpt::Failure& failure) {
    element.push_back(of);
    type.push_back(static_cast<std::int64_t>(failure.type));
    host.push_back(text_of(failure.receiving_host));
    ip.push_back(ip_text(failure.receiving_ip));
    helo.push_back(text_of(failure.receiving_helo));
    sender.push_back(ip_text(failure.sending_ip));
    reason.push_back(text_of(failure.reason));
    information.push_back(text_of(failure.information));
    sessions.push_back(static_cast<std::int64_t>(failure.sessions));
  }
};

std::string with_targets(std::string_view statement) { return std::string(targets) += statement; }

}  // namespace

void add_counts(postgres::Batch& batch, const LedgerCounts& counts) {
  if (counts.empty()) return;
  Numbers days, sessions, failures;
  Texts domains;
  Elements elements, failed;
  Details details;
  for (const auto& [key, account] : counts.accounts()) {
    days.push_back(number_of(key.day));
    domains.push_back(key.domain.text());
    sessions.push_back(static_cast<std::int64_t>(account.sessions));
    failures.push_back(static_cast<std::int64_t>(account.failures));
    const auto of = static_cast<std::int64_t>(days.size());
    for (const auto& one : account.tally.sum()) {
      elements.add(of, one);
      if (one.details.empty()) continue;
      failed.add(of, one);
      for (const auto& failure : one.details) details.add(static_cast<std::int64_t>(failed.account.size()), failure);
    }
  }
  const auto slot = postgres::Parameter::slot();
  batch.push_back(postgres::statement(std::string(make_accounts), days, domains));
  batch.push_back(postgres::statement(std::string(pin_accounts), days, domains));
  batch.push_back(postgres::statement(std::string(make_accounts), days, domains));  // now nobody builds what it finds
  batch.push_back(postgres::statement(with_targets(put_elements), days, domains, slot, sessions, failures,
                                      elements.account, elements.type, elements.domain, elements.text, elements.mx_host,
                                      elements.successes, elements.failures));
  if (details.element.empty()) return;
  batch.push_back(postgres::statement(with_targets(put_details), days, domains, slot, failed.account, failed.type,
                                      failed.domain, failed.text, failed.mx_host, details.element, details.type,
                                      details.host, details.ip, details.helo, details.sender, details.reason,
                                      details.information, details.sessions));
}

}  // namespace hoplock::store_postgres
