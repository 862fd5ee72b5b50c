// SPDX-License-Identifier: Apache-2.0
// `hoplock tlsrpt send`: through the daemon, which alone may send.
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

// What is to be sent, or what is wrong with the command line.
Result<control::SendReports> wanted(const Arguments& arguments) {
  control::SendReports send;
  const auto day = arguments.get("--day");
  if (!day) return bad_input("which day? allowed: --day YYYY-MM-DD");
  const auto parsed = tlsrpt::parse_day(*day);
  if (!parsed) return bad_input("'" + *day + "' is no day; allowed: YYYY-MM-DD, as in 2025-03-01");
  send.day = *parsed;
  if (const auto domain = arguments.get("--domain")) {
    auto name = dns::Name::parse(*domain);
    if (!name || name->is_root())
      return bad_input("'" + *domain + "' is no domain; allowed: a name such as example.org");
    send.domain = std::move(*name);
  }
  return send;
}

std::string sentence(const control::SendReports& send, const reports::Sender::SendNowResult& result) {
  const std::string day = tlsrpt::to_text(send.day);
  const std::string whose = send.domain ? " of " + send.domain->text() : "";
  if (result.found == 0)
    return "nothing was counted for " + (send.domain ? send.domain->text() : "any domain") + " on " + day;
  if (result.sending == 0) return "sent already: " + std::to_string(result.found) + " of " + day + whose;
  return "being sent: " + std::to_string(result.sending) + " of " + day + whose +
         "; 'hoplock tlsrpt list' and the log say what becomes of it";
}

}  // namespace

int tlsrpt_send(const Call& call) {
  const Console& console = call.console;
  const auto send = wanted(call.arguments);
  if (!send) return complain(console, usage, send.error().detail);
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(console, unavailable, client.error().detail);
  const auto result = client->send_reports(*send);
  if (!result) {  // a daemon that says no is reachable
    const bool answered = result.error().code == errc::operation_not_permitted;
    return complain(console, answered ? io_error : unavailable, result.error().detail);
  }
  const bool none = result->sending == 0;
  if (call.arguments.json) {
    json::object object;
    object["found"] = result->found;
    object["touched"] = result->sending;
    console.out << to_line(object) << '\n';
  } else if (none) {
    complain(console, no, sentence(*send, *result));
  } else {
    console.out << printable(sentence(*send, *result)) << '\n';
  }
  return none ? no : ok;
}

}  // namespace hoplock::daemon::tool
