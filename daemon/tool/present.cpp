// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/present.h"

#include <algorithm>
#include <utility>

#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"

namespace hoplock::daemon::tool {

namespace {
bool ask_active(const Call& call, control::Client& client, std::vector<store::Lease>& known) {
  auto active = client.active();
  if (!active) {
    complain(call.console, ok, "what is active is not known: " + active.error().detail);
    return false;
  }
  known = std::move(*active);
  return true;
}
}  // namespace

Present present(const Call& call) {
  Present known;
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client || !ask_active(call, *client, known.active)) return known;
  if (auto waiting = client->waiting()) known.waiting = std::move(*waiting);  // a daemon of an earlier version has none
  std::sort(known.waiting.begin(), known.waiting.end(),
            [](const queue::InLine& a, const queue::InLine& b) { return a.destination < b.destination; });
  return known;
}

std::vector<store::Lease> active(const Call& call) {
  std::vector<store::Lease> known;
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (client) ask_active(call, *client, known);
  return known;
}

}  // namespace hoplock::daemon::tool
