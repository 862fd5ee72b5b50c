// SPDX-License-Identifier: Apache-2.0
#include "http/https.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "net/connect.h"

namespace hoplock::http {

namespace asio = boost::asio;
namespace beast = boost::beast::http;
using Cause = HttpsFailure::Kind;
using Method = HttpsRequest::Method;
using Failed = std::optional<HttpsFailure>;  // nothing: it went well
using std::chrono::steady_clock;

namespace {
constexpr std::size_t most_header = 16 * 1024;
constexpr std::string_view header_end = "\r\n\r\n";
constexpr int most_interim = 8;  // 1xx answers before the real one
// Chunk sizes, extensions and trailers may weigh this much more than what they carry.
constexpr std::size_t most_framing = 8;

// Foreign text for a sentence.
std::string printable(std::string_view text) {
  constexpr std::size_t most = 64;
  return sanitized(text.substr(0, most), Charset::ascii) + (text.size() > most ? "..." : "");
}

HttpsFailure failure(Cause kind, std::string text) { return {kind, std::move(text), {}}; }

bool is_made_of(std::string_view text, char least) {
  return std::all_of(text.begin(), text.end(), [least](char c) { return c >= least && c <= 0x7e; });
}

Failed fault_of(const HttpsRequest& request) {
  // RFC 9112 section 3.2: foreign text must not become a second field or a second request
  const bool target = request.target.rfind('/', 0) == 0 && is_made_of(request.target, 0x21) &&
                      request.target.find('#') == std::string::npos;
  if (!target) return failure(Cause::bad_request, "the URL has octets that are not allowed in it");
  if (!is_made_of(request.content_type, 0x20) || !is_made_of(request.user_agent, 0x20)) {
    return failure(Cause::bad_request, "a header field has octets that are not allowed in it");
  }
  if (request.host.is_root() || request.port == 0) return failure(Cause::bad_request, "the URL has no host");
  if (request.addresses.empty()) return failure(Cause::bad_request, request.host.text() + " has no address");
  return std::nullopt;
}

std::string header_of(const HttpsRequest& request) {
  std::string text = request.method == Method::get ? "GET " : "POST ";
  text += request.target + " HTTP/1.1\r\nHost: " + request.host.text();
  if (request.port != 443) text += ":" + std::to_string(request.port);
  text += "\r\n";
  if (!request.user_agent.empty()) text += "User-Agent: " + request.user_agent + "\r\n";
  text += "Accept: */*\r\n";
  if (request.method == Method::post) {
    if (!request.content_type.empty()) text += "Content-Type: " + request.content_type + "\r\n";
    text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return text + "Connection: close\r\n\r\n";
}

hop::Connect plan_for(const HttpsRequest& request) {
  hop::Connect plan;
  plan.tls = hop::Tls::must;
  plan.pkix = hop::PkixCheck{{request.host}};
  plan.sni = request.host;
  plan.on_failure = hop::OnFailure::next_host;
  return plan;
}

std::string texts(const std::vector<hop::Refusal>& defects) {
  std::string all;
  for (const auto& defect : defects) all += (all.empty() ? "" : "; ") + defect.text;
  return all;
}

// How far a failed address came.
int progress(const HttpsFailure& failed, bool connected) {
  return failed.kind == Cause::certificate ? 2 : connected ? 1 : 0;
}

// Octets that arrived and were not parsed yet.
class Intake {
 public:
  std::string_view view() const { return {room_.data(), size_}; }
  bool is_full() const { return size_ == room_.size(); }
  std::span<char> space() { return std::span(room_).subspan(size_); }
  void add(std::size_t octets) { size_ += octets; }
  void consume(std::size_t octets) {
    size_ -= octets;
    std::memmove(room_.data(), room_.data() + octets, size_);
  }

 private:
  std::array<char, most_header> room_;
  std::size_t size_ = 0;
};

// One request on its way. Its coroutines live no longer than fetch()'s frame.
class Fetch {
 public:
  Fetch(HttpsRequest request, std::shared_ptr<const net::ClientTls> tls)
      : request_(std::move(request)), tls_(std::move(tls)) {}
  asio::awaitable<HttpsAnswer> run();

 private:
  using Parser = beast::response_parser<beast::string_body>;

  asio::awaitable<Failed> open();
  asio::awaitable<Failed> secure();
  asio::awaitable<Failed> send();
  asio::awaitable<Failed> read_header();
  asio::awaitable<Failed> read_answer_header();
  asio::awaitable<Failed> read_body();
  asio::awaitable<Failed> read_more(const char* what);
  Failed parse_header(std::size_t size);
  Failed parse_body();
  Failed end_body(const Error& error);
  Failed check_framing() const;
  Failed check_content() const;
  Failed check_end() const;
  HttpsFailure io_failure(const Error& error, const std::string& what) const;
  HttpsFailure told(Cause kind, const std::string& text) const { return failure(kind, peer_.text() + ": " + text); }
  HttpsResponse response();

  HttpsRequest request_;
  std::shared_ptr<const net::ClientTls> tls_;
  net::Endpoint peer_;
  std::optional<net::Stream> stream_;
  std::vector<hop::Refusal> defects_;
  Intake intake_;
  std::optional<Parser> parser_;
  std::string content_type_;
  std::size_t body_octets_ = 0;  // that arrived, framing and all
};

asio::awaitable<HttpsAnswer> Fetch::run() {
  if (auto fault = fault_of(request_)) co_return std::move(*fault);
  if (auto failed = co_await open()) co_return std::move(*failed);
  auto sent = co_await send();
  if (auto failed = co_await read_answer_header()) {
    co_return std::move(sent ? *sent : *failed);  // a server may answer before it has taken everything
  }
  auto broken = check_framing();
  if (!broken) broken = check_content();
  if (!broken) broken = co_await read_body();
  if (broken && request_.method == Method::get) co_return std::move(*broken);
  co_return response();
}

// A session with the first address that gives one.
asio::awaitable<Failed> Fetch::open() {
  Failed furthest;
  int best = -1;
  for (std::size_t i = 0; i < request_.addresses.size(); ++i) {
    peer_ = net::Endpoint{request_.addresses[i], request_.port};
    const auto now = steady_clock::now();
    if (now >= request_.deadline && furthest) break;
    // the rest of the time is shared by the addresses that are left, and the exchange itself
    const auto share = (request_.deadline - now) / static_cast<int>(request_.addresses.size() - i + 1);
    const auto source = peer_.ip.unmapped().is_v4() ? request_.source_ipv4 : request_.source_ipv6;
    auto connected = co_await net::connect(peer_, now + share, source);
    Failed failed;
    if (connected) {
      stream_.emplace(std::move(*connected));
      failed = co_await secure();
    } else {
      const bool late = connected.error().code == errc::timed_out;
      failed = told(late ? Cause::timeout : Cause::connect, "no connection: " + connected.error().detail);
    }
    if (!failed) co_return std::nullopt;
    if (const int here = progress(*failed, connected.has_value()); here >= best) {
      best = here;
      furthest = std::move(failed);
    }
    stream_.reset();
  }
  co_return furthest;
}

asio::awaitable<Failed> Fetch::secure() {
  hop::Connect plan = plan_for(request_);
  const net::Handshake made = co_await tls_->handshake(*stream_, std::move(plan), nullptr, net::Alpn::http);
  if (made.failure) {
    const bool late = made.failure->reason == hop::Reason::connect_timeout;
    co_return told(late ? Cause::timeout : Cause::tls, made.failure->text);
  }
  stream_->expires_at(request_.deadline);
  defects_ = made.pkix->defects;
  if (defects_.empty() || request_.verify == HttpsRequest::Verify::observe) co_return std::nullopt;
  HttpsFailure refused = told(Cause::certificate, texts(defects_));
  refused.defects = defects_;
  co_return refused;
}

asio::awaitable<Failed> Fetch::send() {
  const std::string header = header_of(request_);
  const std::string_view body = request_.method == Method::post ? std::string_view(request_.body) : std::string_view();
  const auto written = co_await stream_->write(header, body);
  if (!written) co_return io_failure(written.error(), "sending the request");
  co_return std::nullopt;
}

HttpsFailure Fetch::io_failure(const Error& error, const std::string& what) const {
  if (error.code == errc::timed_out) return told(Cause::timeout, "time ran out while " + what);
  return told(Cause::lost, "the connection was lost while " + what + ": " + printable(error.detail));
}

asio::awaitable<Failed> Fetch::read_more(const char* what) {
  const auto octets = co_await stream_->read_some(intake_.space());
  if (!octets) co_return io_failure(octets.error(), what);
  intake_.add(*octets);
  co_return std::nullopt;
}

// The header of the final answer: 1xx ones are read over (RFC 9110 section 15.2).
asio::awaitable<Failed> Fetch::read_answer_header() {
  for (int interim = 0; interim <= most_interim; ++interim) {
    if (auto failed = co_await read_header()) co_return failed;
    const int status = static_cast<int>(parser_->get().result_int());
    if (status == 101) co_return told(Cause::malformed, "the server changed the protocol unasked");
    if (status < 100 || status > 599) co_return told(Cause::malformed, "the answer has no valid status");
    if (status >= 200) co_return std::nullopt;
  }
  co_return told(Cause::malformed, "the server sends interim answers without end");
}

// Beast bounds what it has not parsed yet, not what it has: so it gets a header as a whole.
asio::awaitable<Failed> Fetch::read_header() {
  static constexpr std::string_view begin = "HTTP/1.";
  for (std::size_t searched = 0;;) {
    const std::string_view text = intake_.view();
    const std::size_t length = std::min(text.size(), begin.size());
    if (text.substr(0, length) != begin.substr(0, length)) {
      co_return told(Cause::malformed, "the answer is not HTTP/1.1: \"" + printable(text) + "\"");
    }
    if (const auto end = text.find(header_end, searched); end != std::string_view::npos) {
      co_return parse_header(end + header_end.size());
    }
    if (intake_.is_full()) co_return told(Cause::header_too_large, "the answer's header is larger than 16 KiB");
    searched = text.size() - std::min(text.size(), header_end.size() - 1);
    if (auto failed = co_await read_more("waiting for the answer")) co_return failed;
  }
}

Failed Fetch::parse_header(std::size_t size) {
  parser_.emplace();
  parser_->header_limit(most_header);
  parser_->body_limit(boost::none);  // check_content() looks, so that a post's status comes first
  error_code code;
  const std::size_t used = parser_->put(asio::buffer(intake_.view().substr(0, size)), code);
  if (code || !parser_->is_header_done() || used != size) {
    return told(Cause::malformed, "the answer's header is malformed" + (code ? ": " + code.message() : ""));
  }
  intake_.consume(size);
  content_type_.clear();
  const auto type = parser_->get().find(beast::field::content_type);
  if (type != parser_->get().end()) content_type_ = printable({type->value().data(), type->value().size()});
  return std::nullopt;
}

// RFC 9112 section 6: only one reading of where the body ends is accepted.
Failed Fetch::check_framing() const {
  const auto& header = parser_->get();
  const auto codings = header.count(beast::field::transfer_encoding);
  const bool plain = codings == 0 || (codings == 1 && header.version() == 11 &&
                                      boost::beast::iequals(header[beast::field::transfer_encoding], "chunked"));
  if (!plain) return told(Cause::malformed, "the answer has a Transfer-Encoding that was not asked for");
  if (header.count(beast::field::content_type) > 1) return told(Cause::malformed, "the answer has two Content-Types");
  return std::nullopt;
}

Failed Fetch::check_content() const {
  const auto& header = parser_->get();
  const auto [first, last] = header.equal_range(beast::field::content_encoding);
  for (auto field = first; field != last; ++field) {
    if (boost::beast::iequals(field->value(), "identity")) continue;
    const std::string coding = printable({field->value().data(), field->value().size()});
    return told(Cause::content_encoding,
                "the answer has a Content-Encoding that was not asked for: \"" + coding + "\"");
  }
  if (!parser_->is_done() && parser_->content_length().value_or(0) > request_.most_body) {
    return told(Cause::body_too_large, "the answer is larger than " + std::to_string(request_.most_body) + " octets");
  }
  return std::nullopt;
}

asio::awaitable<Failed> Fetch::read_body() {
  parser_->eager(true);
  parser_->body_limit(request_.most_body);
  while (!parser_->is_done()) {
    if (!intake_.view().empty()) {
      if (auto failed = parse_body()) co_return failed;
      if (parser_->is_done()) break;
    }
    if (intake_.is_full() || body_octets_ > most_header + most_framing * request_.most_body) {
      co_return told(Cause::malformed, "the answer's chunks are made of framing mostly");
    }
    const auto octets = co_await stream_->read_some(intake_.space());
    if (!octets) co_return end_body(octets.error());
    intake_.add(*octets);
    body_octets_ += *octets;
  }
  co_return check_end();
}

Failed Fetch::parse_body() {
  error_code code;
  intake_.consume(parser_->put(asio::buffer(intake_.view()), code));
  if (!code || code == beast::error::need_more) return std::nullopt;
  if (code == beast::error::body_limit || code == beast::error::buffer_overflow) {
    return told(Cause::body_too_large, "the answer is larger than " + std::to_string(request_.most_body) + " octets");
  }
  return told(Cause::malformed, "the answer's body is malformed: " + code.message());
}

// The stream ended within the body. Without a length only close_notify tells that nobody cut it (RFC 9112 section 9.8).
Failed Fetch::end_body(const Error& error) {
  if (!net::is_end_of_stream(error)) return io_failure(error, "reading the answer's body");
  if (!parser_->need_eof()) return told(Cause::length, "the connection ended before the answer's body did");
  if (error.code != asio::error::eof) {
    return told(Cause::length, "the answer has no length and its connection ended without TLS close_notify");
  }
  error_code code;
  parser_->put_eof(code);
  if (code) return told(Cause::length, "the answer's body is incomplete: " + code.message());
  return std::nullopt;
}

// What follows in the same record shows that the length is wrong, and with it the body.
Failed Fetch::check_end() const {
  if (intake_.view().empty() && SSL_pending(stream_->ssl()) == 0) return std::nullopt;
  return told(Cause::length, "the answer goes on after the end of its body");
}

HttpsResponse Fetch::response() {
  auto& message = parser_->get();
  return {static_cast<int>(message.result_int()), std::move(content_type_), std::move(message.body()), peer_,
          std::move(defects_)};
}
}  // namespace

asio::awaitable<HttpsAnswer> fetch(HttpsRequest request, std::shared_ptr<const net::ClientTls> tls) {
  const auto whole = std::make_unique<Fetch>(std::move(request), std::move(tls));
  co_return co_await whole->run();
}

}  // namespace hoplock::http
