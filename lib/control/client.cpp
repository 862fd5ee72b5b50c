// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/version.h"
#include "control/described.h"

namespace hoplock::control {

namespace {

namespace beast = boost::beast::http;
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

std::string request_text(std::string_view path, const std::string& body) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Answers out of what comes, one after the other.
class Answers {
 public:
  struct Answer {
    unsigned status = 0;
    std::uint64_t progress = 0;
    std::string body;
  };
  Answers() { next(); }
  void add(std::string_view octets) { unread_ += octets; }
  // Nothing: more must come.
  Result<std::optional<Answer>> take() {
    constexpr std::string_view begin = "HTTP/";
    if (!parser_->is_header_done() && !begin.starts_with(std::string_view(unread_).substr(0, begin.size())))
      return fail(errc::protocol_error, "the daemon is of another version than this hoplock (" HOPLOCK_VERSION
                                        "), and they do not understand each other; after an upgrade, restart hoplockd");
    error_code code;
    if (!unread_.empty()) unread_.erase(0, parser_->put(boost::asio::buffer(unread_), code));
    if (code && code != beast::error::need_more)
      return fail(errc::protocol_error, "the daemon's answer cannot be read: " + code.message());
    if (!parser_->is_done()) return std::optional<Answer>();
    const auto progress = parser_->get()["Progress"];
    Answer answer{parser_->get().result_int(), 0, std::move(parser_->get().body())};
    std::from_chars(progress.data(), progress.data() + progress.size(), answer.progress);
    next();
    return std::optional(std::move(answer));
  }

 private:
  void next() {
    parser_.emplace();
    parser_->eager(true);
    parser_->body_limit(max_reply);
  }
  std::string unread_;
  std::optional<beast::response_parser<beast::string_body>> parser_;
};

Result<std::string> body_of(Answers::Answer answer) {
  if (answer.status == 200) return std::move(answer.body);
  const auto refusal = from_json<Refusal>(answer.body);
  return fail(answer.status == 404 ? errc::protocol_error : errc::operation_not_permitted,
              refusal ? refusal->error : "the daemon refused it with status " + std::to_string(answer.status));
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
  const std::string text = request_text(AskStatus::path, to_json(AskStatus{}));
  if (send(other->descriptor_, text.data(), text.size(), MSG_NOSIGNAL) < 0) return true;
  return wait(other->descriptor_, POLLIN, Clock::now() + for_probe).has_value();
}

Result<std::string> Client::post(const std::string& text, std::chrono::seconds limit, const Progress& progress) {
  auto deadline = Clock::now() + limit;
  int write_error = 0;
  for (std::size_t sent = 0; sent < text.size() && write_error == 0;) {
    const ssize_t n = send(descriptor_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n >= 0) sent += static_cast<std::size_t>(n);
    if (n < 0 && errno != EINTR) write_error = errno;  // a daemon that refuses us has said so before it closed
  }
  Answers answers;
  std::array<char, 65536> octets;  // NOLINT: uninitialized on purpose, recv fills it
  for (;;) {
    auto answer = answers.take();
    if (!answer) return answer.error();
    if (*answer && (*answer)->status >= 200) return body_of(std::move(**answer));
    if (*answer) {
      if (progress) progress((*answer)->progress);
      deadline = Clock::now() + limit;
      continue;
    }
    const auto silence = Clock::now() + most_silence;
    if (auto ready = wait(descriptor_, POLLIN, std::min(deadline, silence)); !ready) {
      if (deadline <= silence || !is_daemon_alive()) return ready.error();
      continue;
    }
    const ssize_t n = recv(descriptor_, octets.data(), octets.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return lost(errno);
    if (n == 0) return write_error != 0 ? lost(write_error) : lost("it closed the connection");
    answers.add({octets.data(), static_cast<std::size_t>(n)});
  }
}

template <class R>
Result<typename R::Reply> Client::ask(const R& request, std::chrono::seconds limit, const Progress& progress) {
  const auto body = post(request_text(R::path, to_json(request)), limit, progress);
  if (!body) return body.error();
  auto reply = from_json<typename R::Reply>(*body);
  if (!reply) return fail(errc::protocol_error, "the daemon's answer cannot be read: " + reply.error().detail);
  return reply;
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
    const auto affected = ask(one, for_actions, report);
    if (!affected) return affected.error();
    sum.messages += affected->messages;
    sum.recipients += affected->recipients;
    sum.active += affected->active;
    if (!by_id || at >= selection.ids.size()) return sum;
  }
}

Result<std::vector<store::Lease>> Client::active() {
  auto active = ask(AskActive{}, for_questions);
  if (active) std::sort(active->begin(), active->end());
  return active;
}

Result<std::vector<queue::InLine>> Client::waiting() { return ask(AskWaiting{}, for_questions); }

Result<Status> Client::status() { return ask(AskStatus{}, for_questions); }

Result<std::optional<std::string>> Client::reload() { return ask(Reload{}, for_reloads); }

Result<route::PolicyEvent> Client::refresh_policy(const dns::Name& domain) {
  return ask(RefreshPolicy{domain}, for_fetches);
}

Result<Compacted> Client::compact(const Progress& progress) { return ask(Compact{}, for_actions, progress); }

Result<partners::Done> Client::change_partners(const std::vector<partners::Order>& orders) {
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(at + max_orders, orders.size());
    ChangePartners part;
    part.orders.assign(orders.begin() + static_cast<std::ptrdiff_t>(at),
                       orders.begin() + static_cast<std::ptrdiff_t>(end));
    if (end < orders.size()) part.more = ChangePartners::More::follow;
    auto done = ask(part, for_actions);
    if (!done || !done->refused.empty() || end == orders.size()) return done;
    at = end;
  }
}

Result<reports::Sender::SendNowResult> Client::send_reports(const SendReports& send) { return ask(send, for_actions); }

}  // namespace hoplock::control
