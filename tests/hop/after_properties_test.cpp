// SPDX-License-Identifier: Apache-2.0
// What must hold for every plan that `decide` makes and every outcome that a connection can have: walked exhaustively.
#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "tests/hop/corners.h"

namespace hop_after_properties_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
std::vector<Connect> all_plans() {
  std::map<std::string, Connect> plans;
  for (const auto tlsa : all_tlsa) {
    for (const auto host : all_hosts) {
      for (const auto demand : all_demands) {
        const Plan plan = plan_for(tlsa, host, demand);
        const auto* connect = std::get_if<Connect>(&plan);
        if (!connect) continue;
        plans.emplace(digest(*connect), *connect);
        if (connect->dane) {  // what the STS and REQUIRETLS issues will make: two checks at once
          Connect both = *connect;
          both.pkix = PkixCheck{{name("mx.ex")}};
          plans.emplace(digest(both), both);
        }
      }
    }
  }
  std::vector<Connect> all;
  for (const auto& [text, plan] : plans) all.push_back(plan);
  return all;
}

const std::vector<std::optional<DaneVerdict>> dane_verdicts{
    std::nullopt,
    DaneVerdict{ee(), {}},
    DaneVerdict{ta(), {}},
    DaneVerdict{pkix_ee(), {}},  // never in a plan
    DaneVerdict{std::nullopt, {}},
    DaneVerdict{std::nullopt, {{Reason::tlsa_invalid, ""}}},
    DaneVerdict{ee(), {{Reason::certificate_expired, ""}}},  // says both: not a match
};
const std::vector<std::optional<PkixVerdict>> pkix_verdicts{std::nullopt, PkixVerdict{},
                                                            PkixVerdict{{{Reason::certificate_expired, ""}}}};

std::vector<Outcome> all_outcomes() {
  std::vector<Outcome> all;
  for (int stage = 0; stage <= static_cast<int>(Stage::ready); ++stage) {
    for (int reason = -1; reason <= static_cast<int>(Reason::smtp_reply); ++reason) {
      for (const int code : {0, 421, 550}) {
        for (const bool tls : {false, true}) {
          Outcome outcome;
          outcome.stage = static_cast<Stage>(stage);
          if (reason >= 0) outcome.failure = Refusal{static_cast<Reason>(reason), "x"};
          if (code != 0) outcome.reply = PeerReply{code, "x"};
          if (tls) outcome.tls = TlsSession{};
          for (const auto& dane : dane_verdicts) {
            for (const auto& pkix : pkix_verdicts) {
              outcome.dane = dane;
              outcome.pkix = pkix;
              all.push_back(outcome);
            }
          }
        }
      }
    }
  }
  return all;
}

bool dane_passed(const Connect& plan, const Outcome& outcome) {
  if (!outcome.tls || !outcome.dane || !outcome.dane->matched || !outcome.dane->defects.empty()) return false;
  for (const auto& record : plan.dane->records) {
    if (record == *outcome.dane->matched) return true;
  }
  return false;
}

bool pkix_passed(const Outcome& outcome) { return outcome.tls && outcome.pkix && outcome.pkix->defects.empty(); }

void every(const std::function<void(const Connect&, const Outcome&, const Next&)>& visit) {
  const auto outcomes = all_outcomes();
  for (const auto& plan : all_plans()) {
    for (const auto& outcome : outcomes) visit(plan, outcome, after(plan, outcome));
  }
}

#define HOLDS(condition)                                                                                            \
  if (!(condition))                                                                                                 \
  FAIL(#condition << " broken: " << describe(Plan(plan)) << " at stage " << static_cast<int>(outcome.stage) << ": " \
                  << describe(next))
}  // namespace

TEST_CASE(
    "DANE-09, TLS-10: mail goes over a session only when every demand of the plan was met, or the operator only "
    "watches") {
  every([](const Connect& plan, const Outcome& outcome, const Next& next) {
    const auto* proceed = std::get_if<Proceed>(&next);
    if (!proceed) return;
    HOLDS(outcome.stage == Stage::ready && !outcome.failure);
    HOLDS(plan.tls != Tls::must || outcome.tls);
    HOLDS(proceed->policy == plan.policy);
    if (plan.on_failure == OnFailure::audit) return;
    HOLDS(!plan.dane || dane_passed(plan, outcome));
    HOLDS(!plan.pkix || pkix_passed(outcome));
    HOLDS(!proceed->waived);
  });
}

TEST_CASE(
    "TLS-12: a session is called proven only by a check that was made and passed; what was waived proves nothing") {
  every([](const Connect& plan, const Outcome& outcome, const Next& next) {
    const auto* proceed = std::get_if<Proceed>(&next);
    if (!proceed) return;
    if (proceed->auth == Auth::dane_ee)
      HOLDS(plan.dane && dane_passed(plan, outcome) && outcome.dane->matched->usage == 3);
    if (proceed->auth == Auth::dane_ta)
      HOLDS(plan.dane && dane_passed(plan, outcome) && outcome.dane->matched->usage == 2);
    if (proceed->auth == Auth::pkix) HOLDS(plan.pkix && !plan.dane && pkix_passed(outcome));
    if (proceed->waived) HOLDS(proceed->auth == Auth::none && plan.on_failure == OnFailure::audit);
    if (plan.waived) HOLDS(proceed->waived == plan.waived);
    // under audit: whatever enforce would have refused is told
    const bool met = outcome.tls && (!plan.dane || dane_passed(plan, outcome)) && (!plan.pkix || pkix_passed(outcome));
    if (plan.on_failure == OnFailure::audit) HOLDS(proceed->waived.has_value() == (!met || plan.waived.has_value()));
  });
}

TEST_CASE(
    "DANE-38, TLS-10: clear text is tried only where nothing demands TLS, after TLS itself failed, and only once") {
  every([](const Connect& plan, const Outcome& outcome, const Next& next) {
    const auto* retry = std::get_if<RetryInClear>(&next);
    if (!retry) return;
    HOLDS(plan.tls == Tls::if_offered && plan.on_failure != OnFailure::next_host);
    HOLDS(outcome.stage == Stage::starttls || outcome.stage == Stage::handshake);
    HOLDS(retry->rule == plan.on_failure && retry->why == *outcome.failure);
    HOLDS(plan.policy != Policy::dane || plan.on_failure == OnFailure::audit);
    const Connect clear = in_clear(plan, *retry);
    HOLDS(clear.tls == Tls::never && !clear.dane && !clear.pkix && clear.sni.is_root());
    for (const auto stage : {Stage::starttls, Stage::handshake}) {
      Outcome again = outcome;
      again.stage = stage;
      HOLDS(!std::holds_alternative<RetryInClear>(after(clear, again)));
    }
  });
}

TEST_CASE("DANE-07: whatever failed is told, and a failure is never a session") {
  every([](const Connect& plan, const Outcome& outcome, const Next& next) {
    if (outcome.failure || outcome.stage != Stage::ready) HOLDS(!std::holds_alternative<Proceed>(next));
    const auto* gone = std::get_if<NextHost>(&next);
    if (gone && outcome.failure && gone->why != *outcome.failure) {
      HOLDS(outcome.stage == Stage::ehlo && gone->why.reason == Reason::starttls_not_supported);  // MX-14
    }
    if (gone) HOLDS(!gone->why.text.empty() || !outcome.failure);
  });
}

}  // namespace hop_after_properties_test
