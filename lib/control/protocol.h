// SPDX-License-Identifier: Apache-2.0
// What the operator's tool and the daemon say to each other over the control socket: one JSON object a line (RFC 8259), a
// request and then its reply. Values and their texts only; the socket is server.h's and client.h's.
//
//   {"do":"hold","ids":["0D5K2M7QZ3"]}   {"do":"retry","domain":"example.org"}   {"do":"remove","all":true}
//   {"ok":true,"messages":1,"recipients":2,"active":0}
//   {"progress":4096}                    before that, once a second when it takes longer: messages so far
//   {"do":"active"}                      {"ok":true,"active":[["0D5K2M7QZ3",0]]}
//   {"do":"waiting"}                     {"ok":true,"waiting":[{"nexthop":"example.org","why":"all 20 sessions to 192.0.2.1 are in use"}]}   "until": in ms, where a clock decides
//   {"do":"sts-refresh","domain":"example.org"}
//   {"ok":true,"domain":"example.org","action":"refreshed","id":"7","mode":"enforce","max_age":86400,"expires":"…","error":""}
//   {"do":"tlsrpt-send","day":"2025-03-01","domain":"example.org"}   without `domain`: all of that day
//   {"ok":true,"found":3,"sending":2}
//   {"do":"compact"}                     {"ok":true,"octets":1048576,"pages":4096}; progress: pages that are still free
//   {"do":"partner","orders":[{"domain":"contoso.com","level":"dane","until":"2027-01-31","note":"…"},{"domain":"a.example","except":"dane"},
//                             {"domain":"b.example","remove":"all"}],"more":true}    `remove`: all, dane or mta-sts
//   {"ok":true}                          for each line with `more`: all are carried out, or none, with the first one without
//   {"ok":true,"changed":2,"unchanged":0,"until":"2027-01-31","refused":""}
//   {"do":"status"}                      {"ok":true,"version":"0.2.0","pid":712,"started":"…","config":"…","counts":{"connections":3},
//                                         "problems":[{"problem":"dnssec","text":"…"}],
//                                         "failures":[{"outcome":"bounced","reason":"smtp-reply","count":2}]}
//   {"do":"reload"}                      {"ok":true} when the new configuration serves, {"ok":true,"complaint":"…"} when the old one stays
//   anything else                        {"ok":false,"error":"…"}
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "partners/order.h"
#include "queue/in_line.h"
#include "reports/sender.h"
#include "route/sts.h"
#include "store/actions.h"

namespace hoplock::control {

inline constexpr std::size_t max_request = 1 << 20;  // octets of one line
inline constexpr std::size_t max_reply = 64 << 20;
inline constexpr std::size_t max_ids = 20'000;  // of one request; the client sends several
inline constexpr std::size_t max_orders = 300;  // likewise, of partners, whose notes are long

struct Act {
  store::Action action = store::Action::retry;
  store::Selection selection;
};
struct AskActive {};
struct AskWaiting {};
struct AskStatus {};
struct Reload {};
struct Compact {};
struct RefreshPolicy {
  dns::Name domain;
};
struct SendReports {
  tlsrpt::Day day{};
  std::optional<dns::Name> domain;
};
struct ChangePartners {
  std::vector<partners::Order> orders;
  enum class More : std::uint8_t { follow, none } more = More::none;
};
using Request =
    std::variant<Act, AskActive, AskWaiting, AskStatus, Reload, RefreshPolicy, SendReports, Compact, ChangePartners>;

// What the database has given back.
struct Compacted {
  std::uint64_t octets = 0;  // of the file now
  std::uint64_t pages = 0;   // given back
};

struct Status {
  std::string version;
  std::int64_t pid = 0;
  std::optional<Time> started;
  std::string config;  // the file that was read
  std::map<std::string, std::int64_t> counts;
  struct Problem {
    std::string name, text;
  };
  std::vector<Problem> problems;  // as /healthz has them; empty: healthy
  struct Failure {
    std::string outcome, reason;  // as in the log lines; the reason may be empty
    std::int64_t count = 0;
  };
  std::vector<Failure> failures;  // recipients' attempts of the last day, since the start at most
};

// Without the line's end.
std::string to_json(const Request& request);
std::string to_json(const store::Affected& affected);
std::string progress_to_json(std::uint64_t messages);
std::string to_json(const std::vector<store::Lease>& active);
std::string to_json(const std::vector<queue::InLine>& waiting);
std::string to_json(const Status& status);
std::string to_json(const route::PolicyEvent& news);
std::string to_json(const reports::Sender::SendNowResult& result);
std::string reloaded_to_json(const std::optional<std::string>& complaint);
std::string to_json(const Compacted& compacted);
std::string to_json(const partners::Done& done);
std::string refusal_to_json(std::string_view why);

Result<Request> parse_request(std::string_view line);
// Messages so far, when the line tells of progress.
std::optional<std::uint64_t> parse_progress(std::string_view line);
// A refusal is an Error: errc::operation_not_permitted with the daemon's words.
Result<store::Affected> parse_affected(std::string_view line);
Result<std::vector<store::Lease>> parse_active(std::string_view line);
Result<std::vector<queue::InLine>> parse_waiting(std::string_view line);
Result<Status> parse_status(std::string_view line);
// The complaint, where the new configuration was refused.
Result<std::optional<std::string>> parse_reloaded(std::string_view line);
Result<route::PolicyEvent> parse_news(std::string_view line);
Result<reports::Sender::SendNowResult> parse_send_now_result(std::string_view line);
Result<Compacted> parse_compacted(std::string_view line);
Result<partners::Done> parse_done(std::string_view line);

}  // namespace hoplock::control
