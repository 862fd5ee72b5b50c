// SPDX-License-Identifier: Apache-2.0
// store::PolicyStore and store::PartnerStore, on every implementation there is.
#include "store/policy_store.h"

#include "store/partner_store.h"
#include "tests/store/all.h"

namespace hoplock::store::contract::store_contract_policies_test {

namespace {

PolicyRow fetched(const std::string& domain, Time when, Seconds max_age = Seconds(86'400)) {
  PolicyRow row;
  row.domain = name(domain);
  row.freshness.held = mtasts::Held{"1", when, max_age};
  row.text = "version: STSv1\r\nmode: enforce\r\nmx: mx." + domain + "\r\n";
  row.checked = when;
  row.due = when + max_age;
  return row;
}

PolicyRow failed(PolicyRow row, Time when) {
  ++row.freshness.failures.count;
  row.freshness.failures.last = when;
  row.freshness.failures.id = "2";
  row.problem = hop::Refusal{hop::Reason::sts_policy_fetch_error, "nobody answers"};
  row.checked = when;
  row.due = when + Seconds(300);
  return row;
}

partners::Entry entry(const std::string& domain, hop::Mandate level = hop::Mandate::dane) {
  partners::Entry made;
  made.domain = partners::parse_domain(domain).value();
  made.level = level;
  made.note = "ticket 4711";
  made.by = "ann";
  made.since = t0;
  return made;
}

Strings listed(Implementation& kept) {
  Strings all;
  for (std::optional<PartnerAt> next = PartnerAt{}; next;) {
    const PartnerPage page = kept.ask(kept.partners().list(*next, 2)).value();
    for (const auto& one : page.entries) all.push_back(dns::to_text(one.domain) + " " + std::string(word_of(one)));
    next = page.next;
  }
  return all;
}

using Part = PartnerStore::Part;

}  // namespace

TEST_CASE_TEMPLATE("STS-33: a policy is there after a restart, as it was served, and stays when a fetch fails", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  CHECK_FALSE(kept.ask(kept.policies().find(name("one.test"))).value().row.has_value());
  const PolicyRow row = fetched("one.test", t0);
  CHECK(kept.ask(kept.policies().put(row)).has_value());
  kept.restart();
  KeptPolicy found = kept.ask(kept.policies().find(name("one.test"))).value();
  REQUIRE(found.row.has_value());
  CHECK(found.row->text == row.text);
  REQUIRE(found.row->freshness.held.has_value());
  CHECK(found.row->freshness.held->id == "1");
  CHECK(found.row->freshness.held->fetched == t0);
  CHECK(found.row->freshness.held->max_age == Seconds(86'400));
  CHECK(found.row->due == row.due);
  CHECK(found.refused.empty());
  CHECK(kept.ask(kept.policies().put_failure(failed(row, at(10)), "mode: nonsense\r\n")).has_value());
  found = kept.ask(kept.policies().find(name("one.test"))).value();
  CHECK(found.row->text == row.text);
  CHECK(found.row->freshness.failures.count == 1);
  CHECK(found.row->freshness.failures.id == "2");
  CHECK(found.row->problem->text == "nobody answers");
  CHECK(found.refused == "mode: nonsense\r\n");
  CHECK(kept.ask(kept.policies().put(fetched("one.test", at(20)))).has_value());
  found = kept.ask(kept.policies().find(name("one.test"))).value();
  CHECK(found.row->freshness.failures.count == 0);
  CHECK_FALSE(found.row->problem.has_value());
  CHECK(found.refused.empty());
}

TEST_CASE_TEMPLATE("policies: a failure without a policy is kept, one that lasts for no time is not", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  PolicyRow none;
  none.domain = name("none.test");
  CHECK(kept.ask(kept.policies().put_failure(failed(none, t0), "")).has_value());
  const KeptPolicy found = kept.ask(kept.policies().find(none.domain)).value();
  REQUIRE(found.row.has_value());
  CHECK_FALSE(found.row->freshness.held.has_value());
  CHECK_FALSE(found.row->text.has_value());
  CHECK(kept.ask(kept.policies().put(fetched("short.test", t0))).has_value());
  CHECK(kept.ask(kept.policies().put(fetched("short.test", at(1), Seconds(0)))).has_value());
  CHECK_FALSE(kept.ask(kept.policies().find(name("short.test"))).value().row.has_value());
}

TEST_CASE_TEMPLATE("policies: what is due, the longest overdue first, and what another clock set far ahead", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  for (int i = 0; i < 4; ++i)
    CHECK(kept.ask(kept.policies().put(fetched("d" + std::to_string(i) + ".test", at(-i * 10), Seconds(100))))
              .has_value());
  CHECK(kept.ask(kept.policies().put(fetched("far.test", at(1'000'000), Seconds(100)))).has_value());
  DuePolicies due = kept.ask(kept.policies().due({at(85), at(500'000), 2})).value();
  REQUIRE(due.domains.size() == 2);
  CHECK(due.domains[0] == name("d3.test"));
  CHECK(due.domains[1] == name("d2.test"));
  CHECK(due.next == at(70));
  due = kept.ask(kept.policies().due({at(75), at(500'000), 9})).value();
  REQUIRE(due.domains.size() == 2);
  CHECK(due.domains[1] == name("far.test"));
  PolicyRow later = kept.ask(kept.policies().find(name("d3.test"))).value().row.value();
  later.due = at(900);
  CHECK(kept.ask(kept.policies().update(later)).has_value());
  CHECK(kept.ask(kept.policies().find(name("d3.test"))).value().row->text == later.text);
  PolicyRow much_later = kept.ask(kept.policies().find(name("d2.test"))).value().row.value();
  much_later.due = at(901);
  kept.policies().update_later(much_later);
  CHECK(kept.ask(kept.policies().remove(name("d1.test"))).has_value());
  due = kept.ask(kept.policies().due({at(200), at(500'000), 9})).value();
  REQUIRE(due.domains.size() == 2);
  CHECK(due.domains[0] == name("d0.test"));
}

TEST_CASE_TEMPLATE("partners: what is written counts once its last part is, whole or not at all", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  PartnerStore& partners = kept.partners();
  CHECK(listed(kept).empty());
  CHECK(kept.ask(partners.write({{entry("a.example")}, {entry("b.example")}}, Part::some)).has_value());
  CHECK(listed(kept).empty());
  CHECK(kept.ask(partners.write({{entry("c.example", hop::Mandate::verify)}}, Part::last)).has_value());
  kept.restart();
  CHECK(listed(kept) == Strings{"a.example dane", "b.example dane", "c.example verify"});
  CHECK(kept.ask(kept.partners().write({{entry("torn.example")}}, Part::some)).has_value());
  kept.restart();
  CHECK(listed(kept).size() == 3);
  while (kept.ask(kept.partners().drop_uncommitted(1)).value() == More::yes) {
  }
  CHECK(kept.ask(kept.partners().write({{entry("d.example")}}, Part::last)).has_value());
  CHECK(listed(kept).size() == 4);
}

TEST_CASE_TEMPLATE("partners: the latest batch counts, a removal too, until it was told of", Kept, HOPLOCK_STORES) {
  Kept kept;
  PartnerStore& partners = kept.partners();
  CHECK(kept.ask(partners.write({{entry("a.example")}, {entry("b.example")}}, Part::last)).has_value());
  CHECK(kept.ask(partners.drop_earlier({entry("a.example"), entry("b.example")}, Part::last)).has_value());
  PartnerBatches batches = kept.ask(partners.batches()).value();
  CHECK(batches.followed == batches.committed);
  const auto changes = std::vector<PartnerChange>{{entry("a.example", hop::Mandate::encrypt), PartnerRow::there},
                                                  {entry("b.example"), PartnerRow::gone}};
  CHECK(kept.ask(partners.write(changes, Part::last)).has_value());
  CHECK(listed(kept) == Strings{"a.example encrypt"});
  const PartnerBatch followed = batches.followed;
  batches = kept.ask(partners.batches()).value();
  CHECK(batches.followed == followed);
  CHECK(batches.committed > followed);
  const auto changed = kept.ask(partners.changed_since(followed, {}, 10)).value();
  REQUIRE(changed.size() == 2);
  CHECK(changed[0].row == PartnerRow::there);
  CHECK(changed[1].row == PartnerRow::gone);
  CHECK(kept.ask(partners.changed_since(followed, changed[0].at, 10)).value().size() == 1);
  CHECK(kept.ask(partners.drop_earlier({changes[0].entry, changes[1].entry}, Part::some)).has_value());
  CHECK(kept.ask(partners.mark_followed(batches.committed)).has_value());
  CHECK(kept.ask(partners.changed_since(batches.committed, {}, 10)).value().empty());
  partners::Entry told = changes[0].entry;
  told.told = true;
  CHECK(kept.ask(partners.mark_told({told})).has_value());
  CHECK(kept.ask(partners.list({}, 10)).value().entries.at(0).told);
}

}  // namespace hoplock::store::contract::store_contract_policies_test
