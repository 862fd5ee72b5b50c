// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <list>
#include <utility>

#include "base/ascii.h"
#include "base/utf8.h"
#include "message/date.h"
#include "net/task_group.h"

namespace hoplock::http {

namespace asio = boost::asio;
namespace beast = boost::beast::http;
using std::chrono::steady_clock;

namespace {

constexpr std::string_view fixed_fields =
    "Cache-Control: no-store\r\n"
    // nothing inline, nothing from elsewhere: scripts, style sheets and icons are paths of our own, and forms lead to ours
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src "
    "'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n";

enum class Go : bool { on, end };  // with the connection
enum class Show : bool { head, all };

constexpr std::chrono::seconds progress_every{1};
constexpr unsigned no_http = 0;  // in place of a status: it is Settings::not_http that is said

// What was understood of a request, or why not.
struct Heard {
  Request request;
  Requester client{};
  std::optional<std::string> host;  // as it stands in the header
  unsigned status = 200;            // else it is refused with this
  Go after = Go::on;
  Show show = Show::all;
};

bool is_port(std::string_view text) {  // RFC 3986 section 3.2.3: it may be empty
  return text.size() <= 5 && std::ranges::all_of(text, is_digit);
}

// The name in a Host header (RFC 9110 section 7.2), without port, brackets and final dot, in lower case; empty where it is none: what
// comes behind a bracket or a colon is a port or makes the whole of it somebody else's.
std::string host_name(std::string_view field) {
  const std::string text = to_lower(trim(field));
  const bool literal = text.starts_with('[');
  const auto end = literal ? text.find(']') : text.find(':');
  if (literal && end == std::string::npos) return "";
  std::string name = literal ? text.substr(1, end - 1) : text.substr(0, end);
  const std::string_view rest = std::string_view(text).substr(std::min(text.size(), literal ? end + 1 : end));
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return "";
  if (literal && name.find(':') == std::string::npos) return "";  // an IPv4 address or a name has no brackets
  if (!literal && name.ends_with('.')) name.pop_back();
  return name;
}

bool is_ours(std::string_view field, const Ip& local, const std::vector<std::string>& hosts) {
  const std::string name = host_name(field);
  if (name.empty()) return false;
  if (name == "localhost") return true;
  const auto ip = Ip::parse(name);
  if (ip && (ip->unmapped() == local.unmapped() || ip->unmapped().is_loopback())) return true;
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& host) {
    const auto address = Ip::parse(host);
    return ip ? address && *address == *ip : !address && host_name(host) == name;
  });
}

struct Connection {
  // The first gives way first. idle: nothing is being answered; a request that is not whole yet counts as nothing. sending: the peer has
  // its answer to take. answering: that ends by itself, and soon.
  enum class Doing : std::uint8_t { idle, sending, answering };
  Connection(net::Stream connected, Server::Answer with) : stream(std::move(connected)), answer(std::move(with)) {}
  void begin(Doing what) {
    doing = what;
    since = steady_clock::now();
  }
  net::Stream stream;
  Server::Answer answer;  // null: the server's own, for who is admitted
  std::string unread;     // what came and was not parsed yet
  Doing doing = Doing::idle;
  steady_clock::time_point since = steady_clock::now();
};
using Doing = Connection::Doing;

Heard refused(unsigned status) {
  Heard heard;
  heard.status = status;
  heard.after = Go::end;
  return heard;
}

// RFC 7617: "Basic " and base64 of name, colon, password.
std::optional<std::pair<std::string, std::string>> login_of(std::string_view field) {
  constexpr std::string_view scheme = "basic ";
  if (field.size() <= scheme.size() || !equals_ignoring_case(field.substr(0, scheme.size()), scheme))
    return std::nullopt;
  const auto text = from_base64(trim(field.substr(scheme.size())));
  const auto colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos) return std::nullopt;
  return std::pair(text->substr(0, colon), text->substr(colon + 1));
}

// `most`: octets of a body, as Settings has them.
Heard heard_of(const beast::request_parser<beast::string_body>& parser, const std::string& trusted_header,
               std::size_t most) {
  const auto& request = parser.get();
  Heard heard;
  const auto authorization = request[beast::field::authorization];
  heard.client.login = login_of(std::string_view(authorization.data(), authorization.size()));
  heard.client.has_trusted_header = !trusted_header.empty() && !request[trusted_header].empty();
  heard.after = request.keep_alive() ? Go::on : Go::end;
  if (request.method() == beast::verb::head) heard.show = Show::head;
  if (request.version() == 11 && request.count(beast::field::host) != 1) return refused(400);  // RFC 9112 section 3.2
  if (const auto host = request.find(beast::field::host); host != request.end()) {
    heard.host.emplace(host->value().data(), host->value().size());
  }
  const auto length = parser.content_length().value_or(0);
  const bool chunked = request.count(beast::field::transfer_encoding) != 0;
  const bool taken = !chunked && length <= most;
  const bool served = most > 0 ? request.method() == beast::verb::post
                               : request.method() == beast::verb::get || request.method() == beast::verb::head;
  if (!taken || (!served && length > 0)) heard.after = Go::end;  // a body is not read, so nothing behind it can be
  if (!served) {
    heard.status = 405;
    return heard;
  }
  if (!taken) return refused(413);
  const std::string_view target(request.target().data(), request.target().size());
  const auto mark = target.find('?');
  heard.request.path = target.substr(0, mark);
  if (mark != std::string_view::npos) heard.request.query = target.substr(mark + 1);
  const auto accept = request[beast::field::accept];
  const std::string_view accepted(accept.data(), accept.size());
  if (accepted.find("application/json") != std::string_view::npos) heard.request.accepts = Request::Accepts::json;
  return heard;
}

// The rest of RFC 9110's reasons are not ours.
std::string status_line(unsigned status) {
  const auto reason = beast::obsolete_reason(static_cast<beast::status>(status));
  return "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason.data(), reason.size()) + "\r\n";
}

std::string date(Time at) {
  std::string text = message::to_rfc5322(at);
  return text.substr(0, text.rfind(' ')) + " GMT";  // RFC 9110 section 5.6.7
}

std::string header_of(const Reply& reply, Go after, const Settings& settings) {
  std::string text = status_line(reply.status) + "Date: " + date(settings.clock()) + "\r\n";
  text += "Content-Type: " + reply.type + "\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
  if (!reply.location.empty()) text += "Location: " + reply.location + "\r\n";
  if (reply.status == 405) text += settings.body > 0 ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
  if (reply.status == 401) text += "WWW-Authenticate: Basic realm=\"hoplock\", charset=\"UTF-8\"\r\n";
  text += fixed_fields;
  return text + (after == Go::end ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
}

Reply refusal(unsigned status) {
  Reply reply;
  reply.status = status;
  const auto reason = beast::obsolete_reason(static_cast<beast::status>(status));
  reply.body = std::to_string(status) + " " + std::string(reason.data(), reason.size()) + "\n";
  if (status == 421) reply.body += "This name is none of ours: http.hosts in the configuration lists those that are.\n";
  return reply;
}

}  // namespace

struct Server::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor on, Log& to, Answer how, Settings within)
      : executor(on), log(to), answer(std::move(how)), settings(std::move(within)), tasks(on, to), accepting(on, to) {}

  void admit(net::Stream stream, Answer with);
  void cut_idle();
  static asio::awaitable<void> accept_all(std::shared_ptr<State> self, std::shared_ptr<net::Listening> socket);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection);
  asio::awaitable<std::optional<Heard>> hear(std::shared_ptr<Connection> connection);
  asio::awaitable<Go> exchange(std::shared_ptr<Connection> connection);
  asio::awaitable<void> tell_progress(std::shared_ptr<Connection> connection, std::uint64_t progress) const;
  bool is_misdirected(const Heard& heard, const net::Stream& stream) const;
  asio::awaitable<bool> is_let_in(const Heard& heard, Ip address) const;

  asio::any_io_executor executor;
  Log& log;
  Answer answer;
  Settings settings;
  Listening listening;
  std::shared_ptr<net::Listening> socket;  // null: nowhere
  std::list<std::shared_ptr<Connection>> connections;
  bool stopping = false;
  net::TaskGroup tasks;
  net::TaskGroup accepting;
};

asio::awaitable<void> Server::State::accept_all(std::shared_ptr<State> self, std::shared_ptr<net::Listening> socket) {
  for (;;) {
    auto stream = co_await socket->accept(self->log);
    if (!stream) co_return;
    self->admit(std::move(*stream), nullptr);
  }
}

// The monitoring of a machine in trouble must get in: idle connections, however many, do not keep it out, and no more do those whose
// request never gets whole or who do not read what they asked for.
void Server::State::admit(net::Stream stream, Answer with) {
  if (connections.size() >= settings.connections) {
    const auto longest = std::min_element(connections.begin(), connections.end(), [](const auto& a, const auto& b) {
      return std::pair(a->doing, a->since) < std::pair(b->doing, b->since);
    });
    if ((*longest)->doing == Doing::answering) return;  // `stream` closes
    (*longest)->stream.close();
    connections.erase(longest);
  }
  auto connection = std::make_shared<Connection>(std::move(stream), std::move(with));
  connections.push_back(connection);
  tasks.spawn("http", serve(shared_from_this(), std::move(connection)));
}

void Server::State::cut_idle() {
  for (const auto& one : connections) {
    if (one->doing == Doing::idle) one->stream.close();
  }
}

// The next request; nothing: the connection is over.
asio::awaitable<std::optional<Heard>> Server::State::hear(std::shared_ptr<Connection> connection) {
  beast::request_parser<beast::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(settings.header));
  parser.body_limit(boost::none);  // heard_of looks
  std::optional<Heard> heard;      // once the header is whole
  std::array<char, 4096> room;     // NOLINT: read_some fills it
  std::string& unread = connection->unread;
  bool begun = !unread.empty();
  connection->stream.expires_after(begun ? settings.request : settings.idle);
  for (std::size_t parsed_at = 0;;) {
    while (unread.size() > parsed_at) {
      if (!heard && !settings.not_http.empty() && !is_alpha(unread.front())) co_return refused(no_http);
      error_code code;
      const std::size_t used = parser.put(asio::buffer(unread), code);
      unread.erase(0, used);
      if (!heard && parser.is_header_done()) heard = heard_of(parser, listening.trusted_header, settings.body);
      if (heard && heard->status != 200) co_return heard;
      if (parser.is_done()) {
        heard->request.body = std::move(parser.get().body());
        co_return heard;
      }
      if (code == beast::error::header_limit) co_return refused(431);
      if (code && code != beast::error::need_more) co_return refused(400);
      parsed_at = used > 0 ? 0 : unread.size();
      if (unread.size() > settings.header) co_return refused(431);
    }
    const auto got = co_await connection->stream.read_some(room);
    if (!got) co_return std::nullopt;
    if (!std::exchange(begun, true)) connection->stream.expires_after(settings.request);
    unread.append(room.data(), *got);
  }
}

// A client of HTTP/1.0 may leave the header out; a browser never does.
bool Server::State::is_misdirected(const Heard& heard, const net::Stream& stream) const {
  if (!heard.host || is_ours(*heard.host, stream.local().ip, listening.hosts)) return false;
  Event event(Level::info, "http-refused");
  event.add("client", stream.peer().ip.text()).add("host", to_one_line(*heard.host, 255)).add("code", 421);
  log.write(event);
  return true;
}

asio::awaitable<bool> Server::State::is_let_in(const Heard& heard, Ip address) const {
  const auto admission = listening.admission;
  if (!admission || heard.request.path == "/healthz") co_return true;
  Requester client = heard.client;
  client.address = address;
  co_return co_await admission(std::move(client));
}

// Once a second. Whoever went away has given the order all the same.
asio::awaitable<void> Server::State::tell_progress(std::shared_ptr<Connection> connection,
                                                   std::uint64_t progress) const {
  if (steady_clock::now() - connection->since < progress_every) co_return;
  connection->begin(Doing::answering);
  const std::string text = status_line(102) + "Progress: " + std::to_string(progress) + "\r\n\r\n";
  connection->stream.expires_after(settings.request);
  const auto written = co_await connection->stream.write(text);
  if (!written) connection->stream.close();
}

asio::awaitable<Go> Server::State::exchange(std::shared_ptr<Connection> connection) {
  auto heard = co_await hear(connection);
  if (!heard) co_return Go::end;
  const bool strange = !connection->answer;  // nobody has looked at who it is yet
  if (strange && heard->status == 200 && is_misdirected(*heard, connection->stream)) heard = refused(421);
  if (strange && heard->status == 200) {  // as idle as before: whoever guesses passwords gives way
    const bool let_in = co_await is_let_in(*heard, connection->stream.peer().ip);
    if (!let_in) heard->status = 401;
  }
  connection->begin(Doing::answering);
  Reply reply;
  if (heard->status == 200) {
    Request request = std::move(heard->request);
    request.progress = [this, connection](std::uint64_t progress) { return tell_progress(connection, progress); };
    const Answer& how = strange ? answer : connection->answer;
    reply = co_await how(std::move(request));
  } else {
    reply = refusal(heard->status);
  }
  const Go after = stopping ? Go::end : heard->after;
  const std::string header = heard->status == no_http ? settings.not_http : header_of(reply, after, settings);
  const bool bare = heard->show == Show::head || heard->status == no_http;
  const std::string_view body = bare ? std::string_view() : std::string_view(reply.body);
  connection->stream.expires_after(settings.request);
  connection->begin(Doing::sending);
  const auto written = co_await connection->stream.write(header, body);
  co_return written ? after : Go::end;
}

asio::awaitable<void> Server::State::serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
  const struct Listed {
    State& state;
    const std::shared_ptr<Connection>& one;
    ~Listed() { state.connections.remove(one); }
  } listed{*self, connection};
  Go go = Go::on;
  if (const auto tls = self->listening.tls; tls && !connection->answer) {
    connection->stream.expires_after(self->settings.request);
    const auto secured = co_await net::accept_tls(connection->stream, tls);
    if (!secured) go = Go::end;
  }
  while (go == Go::on) {
    go = co_await self->exchange(connection);
    connection->begin(Doing::idle);
  }
  co_await connection->stream.shutdown();
}

Server::Server(asio::any_io_executor executor, Log& log, Answer answer, Settings settings)
    : state_(std::make_shared<State>(std::move(executor), log, std::move(answer), std::move(settings))) {}

Server::~Server() {
  if (state_->socket) state_->socket->close();
  state_->accepting.stop();
  state_->tasks.stop();
}

Result<Server::Plan> Server::prepare(Listening listening) const {
  Plan plan{std::move(listening), nullptr};
  if (plan.listening.at == state_->listening.at) {
    plan.socket = state_->socket;
  } else if (plan.listening.at) {
    auto begun = net::Listening::open(state_->executor, *plan.listening.at);
    if (!begun) return begun.error();
    plan.socket = std::move(*begun);
  }
  return plan;
}

void Server::serve(Plan plan) {
  const bool stays = plan.socket == state_->socket;
  if (!stays && state_->socket) state_->socket->close();
  if (!stays || !plan.listening.tls != !state_->listening.tls) state_->cut_idle();
  state_->listening = std::move(plan.listening);
  if (stays) return;
  state_->socket = plan.socket;
  if (plan.socket) state_->accepting.spawn("http-accept", State::accept_all(state_, std::move(plan.socket)));
}

void Server::serve(net::Stream stream, Answer with) {
  if (!state_->stopping) state_->admit(std::move(stream), std::move(with));
}

asio::awaitable<void> Server::stop(net::SteadyTime deadline) {
  const auto state = state_;
  state->stopping = true;
  if (state->socket) state->socket->close();
  state->cut_idle();
  co_await state->tasks.join(deadline);
  state->accepting.stop();
  state->tasks.stop();
  co_await state->tasks.join(deadline + state->settings.request);
}

std::optional<net::Endpoint> Server::bound() const { return state_->socket ? state_->socket->local() : std::nullopt; }

std::string Server::missing() const { return state_->socket ? state_->socket->error() : std::string(); }

}  // namespace hoplock::http
