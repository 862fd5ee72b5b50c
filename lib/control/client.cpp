// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hoplock::control {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds for_questions{8};
constexpr std::chrono::seconds for_probe{4};
constexpr std::chrono::seconds most_silence{5};   // then it is asked whether it is still there
constexpr std::chrono::seconds for_reloads{60};   // keys and certificates are read, listeners opened
constexpr std::chrono::seconds for_actions{600};  // on a queue of millions
constexpr std::chrono::seconds for_fetches{600};

Error unreachable(const std::string& path, int number) {
  const std::string why = error_code(number, boost::system::system_category()).message();
  const bool none = number == ENOENT || number == ECONNREFUSED;
  return fail(errc::not_connected, "the daemon is not reachable at '" + path + "'" +
                                       (none ? " (" + why + "); is hoplockd running?" : ": " + why));
}

Error lost(const std::string& why) {
  return fail(errc::not_connected, "the connection to the daemon was lost: " + why);
}
Error lost(int number) { return lost(error_code(number, boost::system::system_category()).message()); }

// Waits until the descriptor is ready.
Result<> wait(int descriptor, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return lost("it did not answer in time");
    pollfd one{descriptor, events, 0};
    const int ready = poll(&one, 1, static_cast<int>(left));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return lost(errno);
  }
}

}  // namespace

Result<Client> Client::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return unreachable(path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  // Blocking: connect(2) on a Unix socket waits only for room in the backlog, and SO_SNDTIMEO bounds that.
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return unreachable(path, errno);
  Client client(descriptor, path);
  const timeval limit{for_probe.count(), 0};
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return unreachable(path, errno);
  return client;
}

Client::Client(Client&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
Client::~Client() {
  if (descriptor_ >= 0) close(descriptor_);
}

// A question on a connection of its own. Whatever comes back, an end among it, comes from a loop that turns.
bool Client::is_daemon_alive() const {
  const auto other = connect(path_);
  if (!other) return false;
  const std::string line = to_json(Request(AskStatus{})) + "\n";
  if (send(other->descriptor_, line.data(), line.size(), MSG_NOSIGNAL) < 0) return true;
  return wait(other->descriptor_, POLLIN, Clock::now() + for_probe).has_value();
}

Result<std::string> Client::ask(const Request& request, std::chrono::seconds limit, const Progress& progress) {
  auto deadline = Clock::now() + limit;
  const std::string line = to_json(request) + "\n";
  int write_error = 0;
  for (std::size_t sent = 0; sent < line.size() && write_error == 0;) {
    const ssize_t n = send(descriptor_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n >= 0) sent += static_cast<std::size_t>(n);
    if (n < 0 && errno != EINTR) write_error = errno;  // a daemon that refuses us has said so before it closed
  }
  std::string reply;
  std::array<char, 65536> octets;  // NOLINT: uninitialized on purpose, recv fills it
  for (;;) {
    const auto silence = Clock::now() + most_silence;
    if (auto ready = wait(descriptor_, POLLIN, std::min(deadline, silence)); !ready) {
      if (deadline <= silence || !is_daemon_alive()) return ready.error();
      continue;
    }
    const ssize_t n = recv(descriptor_, octets.data(), octets.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return lost(errno);
    if (n == 0) return write_error != 0 ? lost(write_error) : lost("it closed the connection");
    std::size_t looked = reply.size();
    reply.append(octets.data(), static_cast<std::size_t>(n));
    for (auto end = reply.find('\n', looked); end != std::string::npos; end = reply.find('\n')) {
      const auto so_far = progress ? parse_progress(std::string_view(reply).substr(0, end)) : std::nullopt;
      if (!so_far) return reply.substr(0, end);
      progress(*so_far);
      reply.erase(0, end + 1);
      deadline = Clock::now() + limit;
    }
    if (reply.size() > max_reply) return fail(errc::protocol_error, "the daemon's answer does not end");
  }
}

Result<store::Affected> Client::act(store::Action action, const store::Selection& selection, const Progress& progress) {
  store::Affected sum;
  const Progress report = [&](std::uint64_t messages) {
    if (progress) progress(sum.messages + messages);
  };
  const bool by_id = selection.by == store::Selection::By::ids;
  for (std::size_t at = 0;;) {
    Act one{action, {}};
    if (by_id) {
      const std::size_t end = std::min(at + max_ids, selection.ids.size());
      one.selection.ids.assign(selection.ids.begin() + static_cast<std::ptrdiff_t>(at),
                               selection.ids.begin() + static_cast<std::ptrdiff_t>(end));
      at = end;
    } else {
      one.selection = selection;
    }
    const auto reply = ask(Request(std::move(one)), for_actions, report);
    if (!reply) return reply.error();
    const auto affected = parse_affected(*reply);
    if (!affected) return affected.error();
    sum.messages += affected->messages;
    sum.recipients += affected->recipients;
    sum.active += affected->active;
    if (!by_id || at >= selection.ids.size()) return sum;
  }
}

Result<std::vector<store::Lease>> Client::active() {
  const auto reply = ask(Request(AskActive{}), for_questions);
  if (!reply) return reply.error();
  return parse_active(*reply);
}

Result<std::vector<queue::InLine>> Client::waiting() {
  const auto reply = ask(Request(AskWaiting{}), for_questions);
  if (!reply) return reply.error();
  return parse_waiting(*reply);
}

Result<Status> Client::status() {
  const auto reply = ask(Request(AskStatus{}), for_questions);
  if (!reply) return reply.error();
  return parse_status(*reply);
}

Result<std::optional<std::string>> Client::reload() {
  const auto reply = ask(Request(Reload{}), for_reloads);
  if (!reply) return reply.error();
  return parse_reloaded(*reply);
}

Result<route::PolicyEvent> Client::refresh_policy(const dns::Name& domain) {
  const auto reply = ask(Request(RefreshPolicy{domain}), for_fetches);
  if (!reply) return reply.error();
  return parse_news(*reply);
}

Result<Compacted> Client::compact(const Progress& progress) {
  const auto reply = ask(Request(Compact{}), for_actions, progress);
  if (!reply) return reply.error();
  return parse_compacted(*reply);
}

Result<partners::Done> Client::change_partners(const std::vector<partners::Order>& orders) {
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(at + max_orders, orders.size());
    ChangePartners part;
    part.orders.assign(orders.begin() + static_cast<std::ptrdiff_t>(at),
                       orders.begin() + static_cast<std::ptrdiff_t>(end));
    if (end < orders.size()) part.more = ChangePartners::More::follow;
    const auto reply = ask(Request(std::move(part)), for_actions);
    if (!reply) return reply.error();
    auto done = parse_done(*reply);
    if (!done || !done->refused.empty() || end == orders.size()) return done;
    at = end;
  }
}

Result<reports::Sender::SendNowResult> Client::send_reports(const SendReports& send) {
  const auto reply = ask(Request(send), for_actions);
  if (!reply) return reply.error();
  return parse_send_now_result(*reply);
}

}  // namespace hoplock::control
