// SPDX-License-Identifier: Apache-2.0
#include "control/protocol.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <utility>

namespace hoplock::control {

namespace json = boost::json;

namespace {

constexpr std::array actions{store::Action::retry, store::Action::hold, store::Action::release, store::Action::remove,
                             store::Action::bounce};

Result<json::object> parse_object(std::string_view line) {
  error_code error;
  json::value value = json::parse(json::string_view(line.data(), line.size()), error);
  if (error || !value.is_object()) return bad_input("a line that is no JSON object");
  return std::move(value.as_object());
}

const json::string* text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_string();
}

std::int64_t number_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const std::int64_t* number = value == nullptr ? nullptr : value->if_int64();
  return number == nullptr ? 0 : *number;
}

Result<std::vector<store::Id>> parse_ids(const json::value& value) {
  const json::array* list = value.if_array();
  if (list == nullptr || list->empty() || list->size() > max_ids)
    return bad_input("'ids' must be a list of 1 to " + std::to_string(max_ids) + " ids");
  std::vector<store::Id> ids;
  for (const json::value& one : *list) {
    const json::string* text = one.if_string();
    const auto id = text == nullptr ? std::nullopt : store::Id::parse(std::string_view(text->data(), text->size()));
    if (!id) return bad_input("'ids' holds something that is no id");
    ids.push_back(*id);
  }
  return ids;
}

Result<store::Selection> parse_selection(const json::object& object) {
  store::Selection selection;
  int given = 0;
  if (const json::value* ids = object.if_contains("ids")) {
    auto parsed = parse_ids(*ids);
    if (!parsed) return parsed.error();
    selection.ids = std::move(*parsed);
    ++given;
  }
  if (const json::string* domain = text_of(object, "domain")) {
    auto name = dns::Name::parse(std::string_view(domain->data(), domain->size()));
    if (!name) return name.error();
    selection.by = store::Selection::By::domain;
    selection.domain = std::move(*name);
    ++given;
  }
  if (const json::string* sender = text_of(object, "sender")) {
    selection.by = store::Selection::By::sender;
    selection.sender.assign(sender->data(), sender->size());
    ++given;
  }
  if (const json::value* all = object.if_contains("all"); all != nullptr && all->is_bool() && all->get_bool()) {
    selection.by = store::Selection::By::all;
    ++given;
  }
  if (given != 1) return bad_input("exactly one of 'ids', 'domain', 'sender' and 'all' is needed");
  return selection;
}

Result<Request> parse_send(const json::object& object) {
  SendReports send;
  const json::string* day = text_of(object, "day");
  const auto parsed = day == nullptr ? std::nullopt : tlsrpt::parse_day(std::string_view(day->data(), day->size()));
  if (!parsed) return bad_input("'day' is missing, or no day such as 2025-03-01");
  send.day = *parsed;
  if (const json::string* domain = text_of(object, "domain")) {
    auto name = dns::Name::parse(std::string_view(domain->data(), domain->size()));
    if (!name) return name.error();
    send.domain = std::move(*name);
  }
  return Request(std::move(send));
}

std::string partner_text(const json::object& object, std::string_view key) {
  const json::string* found = text_of(object, key);
  return found == nullptr ? std::string() : std::string(found->data(), found->size());
}

Result<partners::Order> parse_order(const json::object& object) {
  partners::Order order;
  auto domain = partners::parse_domain(partner_text(object, "domain"));
  if (!domain) return domain.error();
  order.entry.domain = std::move(*domain);
  order.entry.note = partner_text(object, "note");
  if (const auto text = partner_text(object, "until"); !text.empty()) {
    const auto day = partners::parse_day(text);
    if (!day) return day.error();
    order.entry.until = *day;
  }
  const std::string level = partner_text(object, "level"), except = partner_text(object, "except"),
                    remove = partner_text(object, "remove");
  if (level.empty() + except.empty() + remove.empty() != 2)
    return bad_input("exactly one of 'level', 'except' and 'remove' is needed");
  if (!level.empty()) {
    const auto parsed = partners::parse_level(level);
    if (!parsed) return parsed.error();
    order.entry.level = *parsed;
    return order;
  }
  if (!remove.empty()) order.what = partners::Order::What::remove;
  if (remove == "all") return order;
  const auto rule = partners::parse_exception(except + remove);
  if (!rule) return rule.error();
  if (remove.empty()) {
    order.entry.rule = *rule;
  } else {
    order.only = *rule;
  }
  return order;
}

Result<Request> parse_orders(const json::object& object) {
  ChangePartners change;
  const json::value* value = object.if_contains("orders");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return bad_input("'orders' is missing, or no list");
  for (const json::value& one : *list) {
    const json::object* fields = one.if_object();
    if (fields == nullptr) return bad_input("'orders' holds something that is no object");
    auto order = parse_order(*fields);
    if (!order) return order.error();
    change.orders.push_back(std::move(*order));
  }
  const json::value* more = object.if_contains("more");
  if (more != nullptr && more->is_bool() && more->get_bool()) change.more = ChangePartners::More::follow;
  return Request(std::move(change));
}

json::object order_to_json(const partners::Order& order) {
  json::object to;
  const partners::Entry& entry = order.entry;
  to["domain"] = dns::to_text(entry.domain);
  if (!entry.note.empty()) to["note"] = entry.note;
  if (order.what == partners::Order::What::remove) {
    partners::Entry only;
    only.rule = order.only.value_or(partners::Rule::mandate);
    to["remove"] = order.only ? word_of(only) : std::string_view("all");
    return to;
  }
  to[entry.rule == partners::Rule::mandate ? "level" : "except"] = word_of(entry);
  if (entry.until) to["until"] = partners::to_text(*entry.until);
  return to;
}

std::string change_to_json(const ChangePartners& change) {
  json::array orders;
  for (const partners::Order& order : change.orders) orders.push_back(order_to_json(order));
  json::object object;
  object["do"] = "partner";
  object["orders"] = std::move(orders);
  if (change.more == ChangePartners::More::follow) object["more"] = true;
  return json::serialize(object);
}

// The daemon's answer, or its refusal as an Error.
Result<json::object> parse_reply(std::string_view line) {
  auto object = parse_object(line);
  if (!object) return fail(errc::protocol_error, "the daemon answered with a line that is no JSON object");
  const json::value* good = object->if_contains("ok");
  if (good != nullptr && good->is_bool() && good->get_bool()) return object;
  const json::string* why = text_of(*object, "error");
  return fail(errc::operation_not_permitted, why == nullptr ? "refused" : std::string(why->data(), why->size()));
}

// The objects of a list that have both texts.
struct TwoTexts {
  std::string first, second;
  const json::object* object = nullptr;
};
std::vector<TwoTexts> texts_in(const json::object& from, std::string_view list, std::string_view first,
                               std::string_view second) {
  std::vector<TwoTexts> all;
  const json::value* value = from.if_contains(list);
  if (value == nullptr || !value->is_array()) return all;
  for (const json::value& one : value->get_array()) {
    const json::object* object = one.if_object();
    const json::string* a = object == nullptr ? nullptr : text_of(*object, first);
    const json::string* b = object == nullptr ? nullptr : text_of(*object, second);
    if (a != nullptr && b != nullptr)
      all.push_back({std::string(a->data(), a->size()), std::string(b->data(), b->size()), object});
  }
  return all;
}

}  // namespace

std::string to_json(const Request& request) {
  if (std::holds_alternative<AskActive>(request)) return R"({"do":"active"})";
  if (std::holds_alternative<AskWaiting>(request)) return R"({"do":"waiting"})";
  if (std::holds_alternative<AskStatus>(request)) return R"({"do":"status"})";
  if (std::holds_alternative<Reload>(request)) return R"({"do":"reload"})";
  if (std::holds_alternative<Compact>(request)) return R"({"do":"compact"})";
  json::object object;
  if (const auto* refresh = std::get_if<RefreshPolicy>(&request)) {
    object["do"] = "sts-refresh";
    object["domain"] = refresh->domain.text();
    return json::serialize(object);
  }
  if (const auto* send = std::get_if<SendReports>(&request)) {
    object["do"] = "tlsrpt-send";
    object["day"] = tlsrpt::to_text(send->day);
    if (send->domain) object["domain"] = send->domain->text();
    return json::serialize(object);
  }
  if (const auto* change = std::get_if<ChangePartners>(&request)) return change_to_json(*change);
  const Act& act = std::get<Act>(request);
  object["do"] = store::to_text(act.action);
  switch (act.selection.by) {
    case store::Selection::By::ids: {
      json::array ids;
      for (const store::Id id : act.selection.ids) ids.emplace_back(id.text());
      object["ids"] = std::move(ids);
      break;
    }
    case store::Selection::By::domain:
      object["domain"] = act.selection.domain.text();
      break;
    case store::Selection::By::sender:
      object["sender"] = act.selection.sender;
      break;
    case store::Selection::By::all:
      object["all"] = true;
      break;
  }
  return json::serialize(object);
}

std::string to_json(const store::Affected& affected) {
  json::object object;
  object["ok"] = true;
  object["messages"] = affected.messages;
  object["recipients"] = affected.recipients;
  object["active"] = affected.active;
  return json::serialize(object);
}

std::string progress_to_json(std::uint64_t messages) {
  json::object object;
  object["progress"] = messages;
  return json::serialize(object);
}

std::string to_json(const std::vector<store::Lease>& active) {
  json::array leases;
  for (const store::Lease& lease : active) {
    json::array pair;
    pair.emplace_back(lease.id.text());
    pair.emplace_back(lease.seq);
    leases.push_back(std::move(pair));
  }
  json::object object;
  object["ok"] = true;
  object["active"] = std::move(leases);
  return json::serialize(object);
}

std::string to_json(const std::vector<queue::InLine>& waiting) {
  json::array all;
  for (const queue::InLine& one : waiting) {
    json::object to;
    to["nexthop"] = one.destination;
    to["why"] = one.why;
    if (one.until) to["until"] = to_millis(*one.until);
    all.push_back(std::move(to));
  }
  json::object object;
  object["ok"] = true;
  object["waiting"] = std::move(all);
  return json::serialize(object);
}

std::string to_json(const Status& status) {
  json::object counts;
  for (const auto& [name, count] : status.counts) counts[name] = count;
  json::object object;
  object["ok"] = true;
  object["version"] = status.version;
  object["pid"] = status.pid;
  if (status.started) object["started"] = to_rfc3339(*status.started);
  object["config"] = status.config;
  object["counts"] = std::move(counts);
  json::array problems;
  for (const Status::Problem& one : status.problems) problems.push_back({{"problem", one.name}, {"text", one.text}});
  object["problems"] = std::move(problems);
  json::array failures;
  for (const Status::Failure& one : status.failures)
    failures.push_back({{"outcome", one.outcome}, {"reason", one.reason}, {"count", one.count}});
  object["failures"] = std::move(failures);
  return json::serialize(object);
}

std::string to_json(const route::PolicyEvent& news) {
  json::object object;
  object["ok"] = true;
  object["domain"] = news.domain.text();
  object["action"] = route::to_text(news.action);
  object["id"] = news.id;
  if (news.mode) object["mode"] = mtasts::to_text(*news.mode);
  if (news.mode) object["max_age"] = news.max_age.count();
  if (news.expires) object["expires"] = to_rfc3339(*news.expires);
  object["error"] = news.error;
  return json::serialize(object);
}

std::string to_json(const reports::Sender::SendNowResult& result) {
  json::object object;
  object["ok"] = true;
  object["found"] = result.found;
  object["sending"] = result.sending;
  return json::serialize(object);
}

std::string reloaded_to_json(const std::optional<std::string>& complaint) {
  json::object object;
  object["ok"] = true;
  if (complaint) object["complaint"] = *complaint;
  return json::serialize(object);
}

std::string to_json(const Compacted& compacted) {
  json::object object;
  object["ok"] = true;
  object["octets"] = compacted.octets;
  object["pages"] = compacted.pages;
  return json::serialize(object);
}

std::string to_json(const partners::Done& done) {
  json::object object;
  object["ok"] = true;
  object["changed"] = done.changed;
  object["unchanged"] = done.unchanged;
  if (done.until) object["until"] = partners::to_text(*done.until);
  object["before"] = done.before;
  object["refused"] = done.refused;
  return json::serialize(object);
}

std::string refusal_to_json(std::string_view why) {
  json::object object;
  object["ok"] = false;
  object["error"] = why;
  return json::serialize(object);
}

Result<Request> parse_request(std::string_view line) {
  const auto object = parse_object(line);
  if (!object) return object.error();
  const json::string* what = text_of(*object, "do");
  if (what == nullptr) return bad_input("'do' is missing");
  if (*what == "active") return Request(AskActive{});
  if (*what == "waiting") return Request(AskWaiting{});
  if (*what == "status") return Request(AskStatus{});
  if (*what == "reload") return Request(Reload{});
  if (*what == "compact") return Request(Compact{});
  if (*what == "sts-refresh") {
    const json::string* domain = text_of(*object, "domain");
    if (domain == nullptr) return bad_input("'domain' is missing");
    auto name = dns::Name::parse(std::string_view(domain->data(), domain->size()));
    if (!name) return name.error();
    return Request(RefreshPolicy{std::move(*name)});
  }
  if (*what == "tlsrpt-send") return parse_send(*object);
  if (*what == "partner") return parse_orders(*object);
  for (const store::Action action : actions) {
    if (*what != store::to_text(action)) continue;
    auto selection = parse_selection(*object);
    if (!selection) return selection.error();
    return Request(Act{action, std::move(*selection)});
  }
  return bad_input(
      "this daemon does not know that request; it knows active, waiting, status, reload, retry, hold, release, remove, "
      "bounce, sts-refresh, tlsrpt-send, compact, partner");
}

Result<store::Affected> parse_affected(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  store::Affected affected;
  affected.messages = static_cast<std::uint64_t>(number_of(*object, "messages"));
  affected.recipients = static_cast<std::uint64_t>(number_of(*object, "recipients"));
  affected.active = static_cast<std::uint64_t>(number_of(*object, "active"));
  return affected;
}

std::optional<std::uint64_t> parse_progress(std::string_view line) {
  const auto object = parse_object(line);
  if (!object || object->if_contains("progress") == nullptr) return std::nullopt;
  return static_cast<std::uint64_t>(number_of(*object, "progress"));
}

Result<std::vector<store::Lease>> parse_active(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  std::vector<store::Lease> active;
  const json::value* value = object->if_contains("active");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return fail(errc::protocol_error, "the daemon's answer has no list of active recipients");
  for (const json::value& one : *list) {
    const json::array* pair = one.if_array();
    const json::string* text = pair != nullptr && pair->size() == 2 ? pair->front().if_string() : nullptr;
    const std::int64_t* seq = text == nullptr ? nullptr : pair->back().if_int64();
    const auto id = seq == nullptr ? std::nullopt : store::Id::parse(std::string_view(text->data(), text->size()));
    if (!id || *seq < 0 || *seq > UINT32_MAX)
      return fail(errc::protocol_error, "the daemon's list of active recipients cannot be read");
    active.push_back({*id, static_cast<std::uint32_t>(*seq)});
  }
  std::sort(active.begin(), active.end());
  return active;
}

Result<std::vector<queue::InLine>> parse_waiting(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  std::vector<queue::InLine> waiting;
  const json::value* value = object->if_contains("waiting");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return fail(errc::protocol_error, "the daemon's answer has no list of what waits");
  for (const json::value& one : *list) {
    const json::object* from = one.if_object();
    const json::string* nexthop = from == nullptr ? nullptr : text_of(*from, "nexthop");
    const json::string* why = from == nullptr ? nullptr : text_of(*from, "why");
    if (nexthop == nullptr || why == nullptr)
      return fail(errc::protocol_error, "the daemon's list of what waits cannot be read");
    queue::InLine in_line{{nexthop->data(), nexthop->size()}, {why->data(), why->size()}, std::nullopt};
    if (const json::value* until = from->if_contains("until"); until != nullptr && until->is_int64())
      in_line.until = from_millis(until->get_int64());
    waiting.push_back(std::move(in_line));
  }
  return waiting;
}

Result<Status> parse_status(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  Status status;
  if (const json::string* version = text_of(*object, "version"))
    status.version.assign(version->data(), version->size());
  status.pid = number_of(*object, "pid");
  if (const json::string* started = text_of(*object, "started"))
    status.started = parse_rfc3339(std::string_view(started->data(), started->size()));
  if (const json::string* config = text_of(*object, "config")) status.config.assign(config->data(), config->size());
  for (const TwoTexts& one : texts_in(*object, "problems", "problem", "text"))
    status.problems.push_back({one.first, one.second});
  for (const TwoTexts& one : texts_in(*object, "failures", "outcome", "reason"))
    status.failures.push_back({one.first, one.second, number_of(*one.object, "count")});
  const json::value* counts = object->if_contains("counts");
  if (counts != nullptr && counts->is_object()) {
    for (const auto& [name, value] : counts->get_object()) {
      if (value.is_int64()) status.counts[std::string(name.data(), name.size())] = value.get_int64();
    }
  }
  return status;
}

Result<std::optional<std::string>> parse_reloaded(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  const json::string* complaint = text_of(*object, "complaint");
  if (complaint == nullptr) return std::optional<std::string>();
  return std::optional<std::string>(std::string(complaint->data(), complaint->size()));
}

Result<route::PolicyEvent> parse_news(std::string_view line) {
  using Action = route::PolicyEvent::Action;
  const auto object = parse_reply(line);
  if (!object) return object.error();
  const auto text = [&object](std::string_view key) {
    const json::string* found = text_of(*object, key);
    return found == nullptr ? std::string() : std::string(found->data(), found->size());
  };
  route::PolicyEvent news;
  auto domain = dns::Name::parse(text("domain"));
  if (!domain) return fail(errc::protocol_error, "the daemon's answer names no domain");
  news.domain = std::move(*domain);
  for (const Action action : {Action::fetched, Action::refreshed, Action::unchanged}) {
    if (text("action") == route::to_text(action)) news.action = action;
  }
  news.id = text("id");
  news.mode = mtasts::parse_mode(text("mode"));
  news.max_age = Seconds(number_of(*object, "max_age"));
  news.expires = parse_rfc3339(text("expires"));
  news.error = text("error");
  return news;
}

Result<reports::Sender::SendNowResult> parse_send_now_result(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  reports::Sender::SendNowResult result;
  result.found = static_cast<std::uint64_t>(number_of(*object, "found"));
  result.sending = static_cast<std::uint64_t>(number_of(*object, "sending"));
  return result;
}

Result<partners::Done> parse_done(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  partners::Done done;
  done.changed = static_cast<std::size_t>(number_of(*object, "changed"));
  done.unchanged = static_cast<std::size_t>(number_of(*object, "unchanged"));
  if (const auto until = partners::parse_day(partner_text(*object, "until"))) done.until = *until;
  done.before = partner_text(*object, "before");
  done.refused = partner_text(*object, "refused");
  return done;
}

Result<Compacted> parse_compacted(std::string_view line) {
  const auto object = parse_reply(line);
  if (!object) return object.error();
  return Compacted{static_cast<std::uint64_t>(number_of(*object, "octets")),
                   static_cast<std::uint64_t>(number_of(*object, "pages"))};
}

}  // namespace hoplock::control
