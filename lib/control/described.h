// SPDX-License-Identifier: Apache-2.0
// The values of protocol.h as JSON, and back, by Boost.JSON: the members of the structs and the words of the enums, what JSON has no type
// for, and what a request must fulfil beside. Reading refuses what is missing, unknown or out of its bounds; nothing is guessed. For this
// module's own sources.
#pragma once
#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "control/protocol.h"

namespace hoplock::control {
namespace json = boost::json;

// A text that `parse` takes.
template <class T>
json::result<T> parsed(const json::value& from, auto parse) {
  if (const json::string* text = from.if_string())
    if (auto value = parse(std::string_view(text->data(), text->size()))) return std::move(*value);
  return make_error_code(errc::invalid_argument);
}
}  // namespace hoplock::control

namespace boost::json {  // where the standard library's types are looked for
inline void tag_invoke(value_from_tag, value& to, hoplock::Time from) { to = hoplock::to_millis(from); }
inline result<hoplock::Time> tag_invoke(try_value_to_tag<hoplock::Time>, const value& from) {
  const auto millis = try_value_to<std::int64_t>(from);
  if (!millis) return millis.error();
  return hoplock::from_millis(*millis);
}
inline void tag_invoke(value_from_tag, value& to, hoplock::Seconds from) { to = from.count(); }
inline result<hoplock::Seconds> tag_invoke(try_value_to_tag<hoplock::Seconds>, const value& from) {
  const auto seconds = try_value_to<std::int64_t>(from);
  if (!seconds) return seconds.error();
  return hoplock::Seconds(*seconds);
}
inline void tag_invoke(value_from_tag, value& to, hoplock::partners::Day from) {
  to = hoplock::partners::to_text(from);
}
inline result<hoplock::partners::Day> tag_invoke(try_value_to_tag<hoplock::partners::Day>, const value& from) {
  return hoplock::control::parsed<hoplock::partners::Day>(from, hoplock::partners::parse_day);
}
}  // namespace boost::json

namespace hoplock::dns {
namespace json = boost::json;
inline void tag_invoke(json::value_from_tag, json::value& to, const Name& from) { to = from.text(); }
inline json::result<Name> tag_invoke(json::try_value_to_tag<Name>, const json::value& from) {
  return control::parsed<Name>(from, Name::parse);
}
inline void tag_invoke(json::value_from_tag, json::value& to, const Pattern& from) { to = to_text(from); }
inline json::result<Pattern> tag_invoke(json::try_value_to_tag<Pattern>, const json::value& from) {
  return control::parsed<Pattern>(from, partners::parse_domain);
}
}  // namespace hoplock::dns
namespace hoplock::store {
namespace json = boost::json;
inline void tag_invoke(json::value_from_tag, json::value& to, Id from) { to = from.text(); }
inline json::result<Id> tag_invoke(json::try_value_to_tag<Id>, const json::value& from) {
  return control::parsed<Id>(from, Id::parse);
}
BOOST_DESCRIBE_ENUM(Action, retry, hold, release, remove, bounce)
BOOST_DESCRIBE_ENUM(Selection::By, ids, domain, sender, all)
BOOST_DESCRIBE_STRUCT(Selection, (), (by, ids, domain, sender))
BOOST_DESCRIBE_STRUCT(Affected, (), (messages, recipients, active))
BOOST_DESCRIBE_STRUCT(Lease, (), (id, seq))
}  // namespace hoplock::store
namespace hoplock::queue {
BOOST_DESCRIBE_STRUCT(InLine, (), (destination, why, until))
}
namespace hoplock::mtasts {
BOOST_DESCRIBE_ENUM(Mode, enforce, testing, none)
}
namespace hoplock::hop {
BOOST_DESCRIBE_ENUM(Mandate, none, encrypt, verify, dane)  // the others are no operator's
}
namespace hoplock::route {
BOOST_DESCRIBE_ENUM(PolicyEvent::Action, fetched, refreshed, unchanged, failed, expired, removed)
BOOST_DESCRIBE_STRUCT(PolicyEvent, (), (action, domain, id, mode, max_age, expires, error))
}  // namespace hoplock::route
namespace hoplock::reports {
BOOST_DESCRIBE_STRUCT(Sender::SendNowResult, (), (found, sending))
}
namespace hoplock::partners {
BOOST_DESCRIBE_ENUM(Rule, mandate, dane, mta_sts)
BOOST_DESCRIBE_ENUM(Order::What, put, remove)
BOOST_DESCRIBE_STRUCT(Entry, (), (domain, rule, level, until, note))
BOOST_DESCRIBE_STRUCT(Order, (), (what, entry, only))
BOOST_DESCRIBE_STRUCT(Done, (), (changed, unchanged, until, refused, before))
}  // namespace hoplock::partners

namespace hoplock::control {

BOOST_DESCRIBE_STRUCT(Compacted, (), (octets, pages))
BOOST_DESCRIBE_STRUCT(Status::Problem, (), (name, text))
BOOST_DESCRIBE_STRUCT(Status::Failure, (), (outcome, reason, count))
BOOST_DESCRIBE_STRUCT(Status, (), (version, pid, started, config, counts, problems, failures))
BOOST_DESCRIBE_STRUCT(Act, (), (action, selection))
BOOST_DESCRIBE_STRUCT(AskActive, (), ())
BOOST_DESCRIBE_STRUCT(AskWaiting, (), ())
BOOST_DESCRIBE_STRUCT(AskStatus, (), ())
BOOST_DESCRIBE_STRUCT(Reload, (), ())
BOOST_DESCRIBE_STRUCT(Compact, (), ())
BOOST_DESCRIBE_STRUCT(RefreshPolicy, (), (domain))
BOOST_DESCRIBE_STRUCT(SendReports, (), (day, domain))
BOOST_DESCRIBE_ENUM(ChangePartners::More, follow, none)
BOOST_DESCRIBE_STRUCT(ChangePartners, (), (orders, more))
BOOST_DESCRIBE_STRUCT(Refusal, (), (error))

// What a request must fulfil beside the types of its members.
inline Result<> check(const auto&) { return {}; }
inline Result<> check(const Act& act) {
  using By = store::Selection::By;
  const auto& [by, ids, domain, sender, by_whom] = act.selection;
  if (by == By::ids ? ids.empty() || ids.size() > max_ids : !ids.empty())
    return bad_input("'ids' must be a list of 1 to " + std::to_string(max_ids) + " ids, where it selects");
  if ((by != By::domain && !domain.is_root()) || (by != By::sender && !sender.empty()))
    return bad_input("'domain' and 'sender' are for a selection by domain and by sender");
  return {};
}
inline Result<> check(const ChangePartners& change) {
  using partners::Rule;
  for (const partners::Order& order : change.orders) {
    const bool leveled = order.entry.level != hop::Mandate::none;
    const bool put = order.what == partners::Order::What::put;
    if (put ? leveled == (order.entry.rule == Rule::mandate) && !order.only : order.only != Rule::mandate) continue;
    return bad_input("an order about " + dns::to_text(order.entry.domain) + " that contradicts itself");
  }
  return {};
}

template <class T>
std::string to_json(const T& from) {
  return json::serialize(json::value_from(from));
}

template <class T>
Result<T> from_json(std::string_view text) {
  error_code code;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), code);
  auto got = code ? json::result<T>(code) : json::try_value_to<T>(value);
  if (!got) return bad_input("not the JSON that is asked for: " + got.error().message());
  if (const auto checked = check(*got); !checked) return checked.error();
  return std::move(*got);
}

}  // namespace hoplock::control
