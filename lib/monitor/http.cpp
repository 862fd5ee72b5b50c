// SPDX-License-Identifier: Apache-2.0
#include "monitor/http.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <list>
#include <utility>

#include "base/ascii.h"
#include "base/utf8.h"
#include "message/date.h"
#include "net/task_group.h"

namespace hoplock::monitor {

namespace asio = boost::asio;
namespace http = boost::beast::http;
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

// What was understood of a request, or why not.
struct Heard {
  HttpRequest request;
  HttpClient client;
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
  explicit Connection(net::Stream connected) : stream(std::move(connected)) {}
  void begin(Doing what) {
    doing = what;
    since = steady_clock::now();
  }
  net::Stream stream;
  std::string unread;  // what came and was not parsed yet
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

Heard heard_of(const http::request<http::empty_body>& request, const std::string& trusted_header) {
  Heard heard;
  const auto authorization = request[http::field::authorization];
  heard.client.login = login_of(std::string_view(authorization.data(), authorization.size()));
  heard.client.has_trusted_header = !trusted_header.empty() && !request[trusted_header].empty();
  heard.after = request.keep_alive() ? Go::on : Go::end;
  if (request.method() == http::verb::head) heard.show = Show::head;
  if (request.version() == 11 && request.count(http::field::host) != 1) return refused(400);  // RFC 9112 section 3.2
  if (const auto host = request.find(http::field::host); host != request.end()) {
    heard.host.emplace(host->value().data(), host->value().size());
  }
  const auto length = request.find(http::field::content_length);
  const bool empty =
      request.count(http::field::transfer_encoding) == 0 && (length == request.end() || length->value() == "0");
  if (!empty) heard.after = Go::end;  // a body is not read, so nothing behind it can be
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    heard.status = 405;
    return heard;
  }
  if (!empty) return refused(413);
  const std::string_view target(request.target().data(), request.target().size());
  const auto mark = target.find('?');
  heard.request.path = target.substr(0, mark);
  if (mark != std::string_view::npos) heard.request.query = target.substr(mark + 1);
  const auto accept = request[http::field::accept];
  const std::string_view accepted(accept.data(), accept.size());
  if (accepted.find("application/json") != std::string_view::npos) heard.request.accepts = HttpRequest::Accepts::json;
  return heard;
}

// The rest of RFC 9110's reasons are not ours.
std::string status_line(unsigned status) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason.data(), reason.size()) + "\r\n";
}

std::string date(Time at) {
  std::string text = message::to_rfc5322(at);
  return text.substr(0, text.rfind(' ')) + " GMT";  // RFC 9110 section 5.6.7
}

std::string header_of(const HttpReply& reply, Go after, Time at) {
  std::string text = status_line(reply.status) + "Date: " + date(at) + "\r\n";
  text += "Content-Type: " + reply.type + "\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
  if (!reply.location.empty()) text += "Location: " + reply.location + "\r\n";
  if (reply.status == 405) text += "Allow: GET, HEAD\r\n";
  if (reply.status == 401) text += "WWW-Authenticate: Basic realm=\"hoplock\", charset=\"UTF-8\"\r\n";
  text += fixed_fields;
  return text + (after == Go::end ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
}

HttpReply refusal(unsigned status) {
  HttpReply reply;
  reply.status = status;
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  reply.body = std::to_string(status) + " " + std::string(reason.data(), reason.size()) + "\n";
  if (status == 421) reply.body += "This name is none of ours: http.hosts in the configuration lists those that are.\n";
  return reply;
}

}  // namespace

struct HttpServer::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor on, Log& to, Answer how, HttpSettings within)
      : executor(on), log(to), answer(std::move(how)), settings(std::move(within)), tasks(on, to), accepting(on, to) {}

  void admit(net::Stream stream);
  void cut_idle();
  static asio::awaitable<void> accept_all(std::shared_ptr<State> self, std::shared_ptr<net::Listening> socket);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection);
  asio::awaitable<std::optional<Heard>> hear(std::shared_ptr<Connection> connection);
  asio::awaitable<Go> exchange(std::shared_ptr<Connection> connection);
  bool is_misdirected(const Heard& heard, const net::Stream& stream) const;
  asio::awaitable<bool> is_let_in(const Heard& heard, Ip address) const;

  asio::any_io_executor executor;
  Log& log;
  Answer answer;
  HttpSettings settings;
  HttpListening listening;
  std::shared_ptr<net::Listening> socket;  // null: nowhere
  std::list<std::shared_ptr<Connection>> connections;
  bool stopping = false;
  net::TaskGroup tasks;
  net::TaskGroup accepting;
};

asio::awaitable<void> HttpServer::State::accept_all(std::shared_ptr<State> self,
                                                    std::shared_ptr<net::Listening> socket) {
  for (;;) {
    auto stream = co_await socket->accept(self->log);
    if (!stream) co_return;
    self->admit(std::move(*stream));
  }
}

// The monitoring of a machine in trouble must get in: idle connections, however many, do not keep it out, and no more do those whose
// request never gets whole or who do not read what they asked for.
void HttpServer::State::admit(net::Stream stream) {
  if (connections.size() >= settings.connections) {
    const auto longest = std::min_element(connections.begin(), connections.end(), [](const auto& a, const auto& b) {
      return std::pair(a->doing, a->since) < std::pair(b->doing, b->since);
    });
    if ((*longest)->doing == Doing::answering) return;  // `stream` closes
    (*longest)->stream.close();
    connections.erase(longest);
  }
  auto connection = std::make_shared<Connection>(std::move(stream));
  connections.push_back(connection);
  tasks.spawn("http", serve(shared_from_this(), std::move(connection)));
}

void HttpServer::State::cut_idle() {
  for (const auto& one : connections) {
    if (one->doing == Doing::idle) one->stream.close();
  }
}

// The next request; nothing: the connection is over.
asio::awaitable<std::optional<Heard>> HttpServer::State::hear(std::shared_ptr<Connection> connection) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(settings.header));
  parser.body_limit(boost::none);  // whether there is one is looked at by heard_of
  std::array<char, 4096> room;     // NOLINT: read_some fills it
  bool begun = !connection->unread.empty();
  connection->stream.expires_after(begun ? settings.request : settings.idle);
  for (std::size_t parsed_at = 0;;) {
    if (connection->unread.size() > parsed_at) {
      error_code code;
      const std::size_t used = parser.put(asio::buffer(connection->unread), code);
      connection->unread.erase(0, used);
      if (parser.is_header_done()) co_return heard_of(parser.get(), listening.trusted_header);
      if (code == http::error::header_limit) co_return refused(431);
      if (code && code != http::error::need_more) co_return refused(400);
      parsed_at = connection->unread.size();
      if (parsed_at > settings.header) co_return refused(431);
    }
    const auto got = co_await connection->stream.read_some(room);
    if (!got) co_return std::nullopt;
    if (!std::exchange(begun, true)) connection->stream.expires_after(settings.request);
    connection->unread.append(room.data(), *got);
  }
}

// A client of HTTP/1.0 may leave the header out; a browser never does.
bool HttpServer::State::is_misdirected(const Heard& heard, const net::Stream& stream) const {
  if (!heard.host || is_ours(*heard.host, stream.local().ip, listening.hosts)) return false;
  Event event(Level::info, "http-refused");
  event.add("client", stream.peer().ip.text()).add("host", to_one_line(*heard.host, 255)).add("code", 421);
  log.write(event);
  return true;
}

asio::awaitable<bool> HttpServer::State::is_let_in(const Heard& heard, Ip address) const {
  const auto admission = listening.admission;
  if (!admission || heard.request.path == "/healthz") co_return true;
  HttpClient client = heard.client;
  client.address = address;
  co_return co_await admission(std::move(client));
}

asio::awaitable<Go> HttpServer::State::exchange(std::shared_ptr<Connection> connection) {
  auto heard = co_await hear(connection);
  if (!heard) co_return Go::end;
  if (heard->status == 200 && is_misdirected(*heard, connection->stream)) heard = refused(421);
  if (heard->status == 200) {  // as idle as before: whoever guesses passwords gives way
    const bool let_in = co_await is_let_in(*heard, connection->stream.peer().ip);
    if (!let_in) heard->status = 401;
  }
  connection->begin(Doing::answering);
  HttpReply reply;
  if (heard->status == 200) {
    HttpRequest request = heard->request;
    reply = co_await answer(std::move(request));
  } else {
    reply = refusal(heard->status);
  }
  const Go after = stopping ? Go::end : heard->after;
  const std::string header = header_of(reply, after, settings.clock());
  connection->stream.expires_after(settings.request);
  const std::string_view body = heard->show == Show::all ? std::string_view(reply.body) : std::string_view();
  connection->begin(Doing::sending);
  const auto written = co_await connection->stream.write(header, body);
  co_return written ? after : Go::end;
}

asio::awaitable<void> HttpServer::State::serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
  const struct Listed {
    State& state;
    const std::shared_ptr<Connection>& one;
    ~Listed() { state.connections.remove(one); }
  } listed{*self, connection};
  Go go = Go::on;
  if (const auto tls = self->listening.tls) {
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

HttpServer::HttpServer(asio::any_io_executor executor, Log& log, Answer answer, HttpSettings settings)
    : state_(std::make_shared<State>(std::move(executor), log, std::move(answer), std::move(settings))) {}

HttpServer::HttpServer(asio::any_io_executor executor, Log& log, Answer answer)
    : HttpServer(std::move(executor), log, std::move(answer), HttpSettings{}) {}

HttpServer::~HttpServer() {
  if (state_->socket) state_->socket->close();
  state_->accepting.stop();
  state_->tasks.stop();
}

Result<HttpServer::Plan> HttpServer::prepare(HttpListening listening) const {
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

void HttpServer::serve(Plan plan) {
  const bool stays = plan.socket == state_->socket;
  if (!stays && state_->socket) state_->socket->close();
  if (!stays || !plan.listening.tls != !state_->listening.tls) state_->cut_idle();
  state_->listening = std::move(plan.listening);
  if (stays) return;
  state_->socket = plan.socket;
  if (plan.socket) state_->accepting.spawn("http-accept", State::accept_all(state_, std::move(plan.socket)));
}

asio::awaitable<void> HttpServer::stop(net::SteadyTime deadline) {
  const auto state = state_;
  state->stopping = true;
  if (state->socket) state->socket->close();
  state->cut_idle();
  co_await state->tasks.join(deadline);
  state->accepting.stop();
  state->tasks.stop();
  co_await state->tasks.join(net::SteadyTime::max());
}

std::optional<net::Endpoint> HttpServer::bound() const {
  return state_->socket ? state_->socket->local() : std::nullopt;
}

std::string HttpServer::missing() const { return state_->socket ? state_->socket->error() : std::string(); }

}  // namespace hoplock::monitor
