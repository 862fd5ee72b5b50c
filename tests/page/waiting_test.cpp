// SPDX-License-Identifier: Apache-2.0
#include "page/waiting.h"

#include <doctest/doctest.h>

#include "hop/names.h"

namespace page_waiting_test {

using namespace hoplock;
using page::Side;
using page::Trouble;

namespace {

const Time t0 = from_millis(1'790'000'000'000);

store::DomainWait failing(const std::string& reason, const std::string& reply) {
  store::DomainWait wait;
  wait.domain = "partner.example";
  wait.count = {3, t0 - std::chrono::hours(2)};
  wait.status = "4.4.1";
  wait.reason = reason;
  wait.reply = reply;
  wait.host = "mx1.partner.example[192.0.2.1]";
  wait.since = t0 - std::chrono::hours(1);
  wait.next = t0 + std::chrono::minutes(7);
  return wait;
}

bool has(const std::string& html, std::string_view text) { return html.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("waiting: a record that does not fit is theirs, with the words of the check and what they must mend") {
  const auto advice =
      page::advice_for(failing("tlsa-invalid", "no TLSA record matches"), "partner.example", Trouble::none);
  CHECK(advice.side == Side::theirs);
  CHECK(advice.command == "hoplock check partner.example");
  CHECK(has(advice.why, "TLSA"));
  for (const std::string_view text :
       {"Our mail to partner.example waits, since 2026-09-21T13:13:20.000Z",
        "mail does not go: no host meets the policy that governs it",
        "tlsa-invalid, mx1.partner.example[192.0.2.1]: no TLSA record matches", "must publish a TLSA record"}) {
    CAPTURE(text);
    CHECK(has(advice.tell, text));
  }
}

TEST_CASE("waiting: every reason has a side and words") {
  for (const auto reason : hop::all_reasons()) {
    CAPTURE(hop::to_text(reason));
    const auto advice =
        page::advice_for(failing(std::string(hop::to_text(reason)), "450 4.0.0 x"), "partner.example", Trouble::none);
    CHECK(advice.side == Side::theirs);
    CHECK_FALSE(advice.why.empty());
    CHECK(has(advice.tell, "partner.example"));
  }
}

TEST_CASE("waiting: a next hop of our own routes is ours, and so is what fails for want of our own look-ups") {
  CHECK(page::advice_for(failing("connect-refused", ""), "route:exch01:25", Trouble::none).side == Side::ours);
  CHECK(page::advice_for(failing("dnssec-invalid", ""), "partner.example", Trouble::look_ups).side == Side::ours);
  CHECK(page::advice_for(failing("dns-failure", ""), "partner.example", Trouble::look_ups).side == Side::ours);
  CHECK(page::advice_for(failing("dns-failure", ""), "partner.example", Trouble::none).side == Side::theirs);
  CHECK(page::advice_for(failing("smtp-reply", "451 later"), "partner.example", Trouble::look_ups).side ==
        Side::theirs);
}

TEST_CASE("waiting: several domains behind one host of ours are tried again together, and a reply shows its codes") {
  store::Wait wait;
  wait.nexthop = "route:exch01.contoso.local:25";
  wait.reason = "smtp-reply";
  wait.domains = 2;
  wait.shown = {failing("smtp-reply", "452 4.3.1 Insufficient system resources"), failing("smtp-reply", "452 4.3.1 x")};
  CHECK(has(page::advice_for(wait, Trouble::none).tell, "then run: hoplock queue retry --all"));
  wait.domains = 1;
  CHECK(has(page::advice_for(wait, Trouble::none).tell, "then run: hoplock queue retry --domain partner.example"));
  monitor::Survey survey;
  survey.waits = {wait};
  CHECK(has(page::waiting_html(survey, Trouble::none, t0), "<bdi>smtp-reply 452 4.3.1</bdi>"));
}

TEST_CASE("waiting: what was not tried yet is nobody's fault") {
  const auto advice = page::advice_for(failing("", ""), "partner.example", Trouble::none);
  CHECK(advice.side == Side::nobody);
  CHECK(advice.tell.empty());
}

TEST_CASE("waiting: the section folds, is bounded, and says how much more there is") {
  monitor::Survey survey;
  store::Wait wait;
  wait.nexthop = "route:exch01.contoso.local:25";
  wait.reason = "connect-refused";
  wait.count = {102'048, t0 - std::chrono::hours(3)};
  wait.extent = store::Wait::Extent::whole;
  wait.domains = 14;
  wait.shown = {failing("connect-refused", "450 4.4.1 <b>connect-refused</b>"), failing("connect-refused", "")};
  survey.waits = {wait};
  survey.hops = 7;
  const std::string html = page::waiting_html(survey, Trouble::none, t0);
  for (const std::string_view text : {"<details data-key=\"wait route:exch01.contoso.local:25 connect-refused\">",
                                      "<bdi>exch01.contoso.local:25</bdi>", "102,048", "since <time", "ours to mend",
                                      "and 12 more domains", "and 6 more", "14:20 UTC", "&lt;b&gt;connect-refused"}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
  CHECK(has(page::waiting_html({}, Trouble::none, t0), "No mail waits."));
}

}  // namespace page_waiting_test
