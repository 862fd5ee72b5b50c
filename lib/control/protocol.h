// SPDX-License-Identifier: Apache-2.0
// What the operator's tool and the daemon say to each other over the control socket: HTTP/1.1 (RFC 9112). A request is a POST to the
// path of its kind, its members as a JSON object (RFC 8259); the answer is the kind's Reply in JSON. Values only: how they are written is
// described.h's, the socket is server.h's and client.h's. Both sides refuse a member that they do not know, and a change that the other
// side would not notice gets another number in place of v1.
//
//   POST /v1/act      {"action":"hold","selection":{"by":"domain","ids":[],"domain":"example.org","sender":""}}
//   102               Progress: 4096    once a second: messages so far; of a compaction, pages that are still free
//   200               {"messages":1,"recipients":2,"active":0}
//   400 403 404 409   {"error":"…"}     no such request; who may not ask; a path of another version; it cannot be done
#pragma once
#include <boost/mp11/list.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "partners/order.h"
#include "queue/in_line.h"
#include "reports/sender.h"
#include "route/sts.h"
#include "store/actions.h"

namespace hoplock::control {

inline constexpr std::size_t max_request = 1 << 20;  // octets of a body
inline constexpr std::size_t max_reply = 64 << 20;
inline constexpr std::size_t max_ids = 20'000;  // of one request; the client sends several
inline constexpr std::size_t max_orders = 300;  // likewise, of partners, whose notes are long

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

struct Act {
  static constexpr std::string_view path = "/v1/act";
  using Reply = store::Affected;
  store::Action action = store::Action::retry;
  store::Selection selection;
};
struct AskActive {
  static constexpr std::string_view path = "/v1/active";
  using Reply = std::vector<store::Lease>;
};
struct AskWaiting {
  static constexpr std::string_view path = "/v1/waiting";
  using Reply = std::vector<queue::InLine>;
};
struct AskStatus {
  static constexpr std::string_view path = "/v1/status";
  using Reply = Status;
};
struct Reload {
  static constexpr std::string_view path = "/v1/reload";
  using Reply =
      std::optional<std::string>;  // the complaint, where the new configuration was refused and the old one stays
};
struct Compact {
  static constexpr std::string_view path = "/v1/compact";
  using Reply = Compacted;
};
struct RefreshPolicy {
  static constexpr std::string_view path = "/v1/sts-refresh";
  using Reply = route::PolicyEvent;
  dns::Name domain;
};
struct SendReports {
  static constexpr std::string_view path = "/v1/tlsrpt-send";
  using Reply = reports::Sender::SendNowResult;
  tlsrpt::Day day{};
  std::optional<dns::Name> domain;  // nothing: all of that day
};
// Parts of one order follow each other on a connection: all are carried out, or none, with the last part.
struct ChangePartners {
  static constexpr std::string_view path = "/v1/partner";
  using Reply = partners::Done;
  std::vector<partners::Order> orders;
  enum class More : std::uint8_t { follow, none } more = More::none;
};
using Requests = boost::mp11::mp_list<Act, AskActive, AskWaiting, AskStatus, Reload, Compact, RefreshPolicy,
                                      SendReports, ChangePartners>;

// In place of a Reply.
struct Refusal {
  std::string error;
};

}  // namespace hoplock::control
