// SPDX-License-Identifier: Apache-2.0
// Answers of every broken kind: each is a failure with a name of its own, at bounded cost.
#include <doctest/doctest.h>

#include "tests/http/https.h"

namespace http_https_body_test {

using namespace hoplock;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
}  // namespace

TEST_CASE("fetch: a body is whole when its length, its chunks or an orderly end say so") {
  HttpsWorld world;
  struct Row {
    HttpsReply reply;
    std::string result;
    std::string why;
  };
  const std::vector<Row> rows{
      {{.octets = ok + "Content-Length: 3\r\n\r\nabc", .end = End::truncate}, "200 abc", "length; no close_notify"},
      {{.octets = ok + "Content-Length: 3\r\n\r\nabc", .end = End::hang}, "200 abc", "length; kept open"},
      {{.octets = ok + "Content-Length: 3, 3\r\n\r\nabc"}, "200 abc", "the same length twice"},
      {{.octets = ok + "Content-Length: 0\r\n\r\n"}, "200 ", "empty"},
      {{.octets = ok + "Content-Length: 3\r\n\r\nabc", .drip = 2ms}, "200 abc", "one octet at a time"},
      {{.octets = chunked + "2\r\nab\r\n1;x=\"y\"\r\nc\r\n0\r\nExpires: never\r\n\r\n"}, "200 abc", "chunks, trailer"},
      {{.octets = chunked + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", .drip = 2ms}, "200 abc", "chunks, octet by octet"},
      {{.octets = chunked + "0\r\n\r\n", .end = End::truncate}, "200 ", "no chunk"},
      {{.octets = ok + "\r\nabc"}, "200 abc", "up to close_notify"},
      {{.octets = "HTTP/1.0 200 OK\r\n\r\nabc"}, "200 abc", "HTTP/1.0"},
      {{.octets = ok + "\r\n"}, "200 ", "empty up to close_notify"},
      {{.octets = "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 3\r\n\r\nabc"},
       "200 abc",
       "an interim answer"},
      {{.octets = ok + "Content-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc"}, "200 abc", "identity"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CHECK(ask(world, row.reply).text() == row.result);
  }
}

TEST_CASE("STS-11: wrong lengths, and ends that anybody could have made, are failures") {
  HttpsWorld world;
  struct Row {
    HttpsReply reply;
    std::string result;
    std::string why;
  };
  const std::vector<Row> rows{
      {{.octets = ok + "Content-Length: 4\r\n\r\nabc"}, "length", "shorter, orderly end"},
      {{.octets = ok + "Content-Length: 4\r\n\r\nabc", .end = End::truncate}, "length", "shorter, cut"},
      {{.octets = ok + "Content-Length: 2\r\n\r\nabc"}, "length", "longer"},
      {{.octets = ok + "Content-Length: 0\r\n\r\nabc"}, "length", "none, but there is a body"},
      {{.octets = chunked + "0\r\n\r\nabc"}, "length", "goes on after the last chunk"},
      {{.octets = chunked + "3\r\nabc\r\n"}, "length", "no last chunk"},
      {{.octets = chunked + "3\r\nabc\r\n0\r\n", .end = End::truncate}, "length", "within the last chunk"},
      {{.octets = ok + "\r\nabc", .end = End::truncate}, "length", "no length, cut: TLS must say that it is the end"},
      {{.octets = ok + "Content-Length: -1\r\n\r\nabc"}, "malformed", "negative"},
      {{.octets = ok + "Content-Length: 3x\r\n\r\nabc"}, "malformed", "no number"},
      {{.octets = ok + "Content-Length: 99999999999999999999999\r\n\r\nabc"}, "malformed", "too large a number"},
      {{.octets = ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"}, "malformed", "two lengths"},
      {{.octets = ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"}, "malformed", "length and chunks"},
      {{.octets = ok + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc"}, "malformed", "chunks and length"},
      {{.octets = chunked + "-1\r\nabc\r\n0\r\n\r\n"}, "malformed", "negative chunk"},
      {{.octets = chunked + "\r\nabc\r\n0\r\n\r\n"}, "malformed", "chunk without size"},
      {{.octets = chunked + "ffffffffffffffffff\r\nabc\r\n"}, "malformed", "chunk size over 64 bits"},
      {{.octets = chunked + "2\r\nabc\r\n0\r\n\r\n"}, "malformed", "chunk longer than it says"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CHECK(ask(world, row.reply).text() == row.result);
  }
}

TEST_CASE("STS-11: a coded body is refused, whichever field says so, and never decoded") {
  HttpsWorld world;
  const std::string bomb("\x1f\x8b\x08\0\0\0\0\0", 8);
  for (const char* field : {"Content-Encoding: gzip", "content-encoding: br", "Content-Encoding: identity, gzip",
                            "Content-Encoding: identity\r\nContent-Encoding: gzip"}) {
    CAPTURE(field);
    CHECK(ask(world, http_reply(200, {field}, bomb)).text() == "content_encoding");
  }
  for (const char* field :
       {"gzip, chunked", "gzip", "chunked\r\nTransfer-Encoding: gzip", "identity", "chunked, gzip"}) {
    CAPTURE(field);
    CHECK(ask(world, {.octets = ok + "Transfer-Encoding: " + field + "\r\n\r\n0\r\n\r\n"}).text() == "malformed");
  }
  CHECK(ask(world, {.octets = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}).text() == "malformed");
}

TEST_CASE("STS-11: 64 KiB are read and not one octet more, however the body is framed") {
  HttpsWorld world;
  const std::string most(65536, 'x');
  const auto framed = [](const std::string& body) {
    std::string text = chunked;
    for (std::size_t at = 0; at < body.size(); at += 1000) {
      const std::size_t size = std::min<std::size_t>(1000, body.size() - at);
      std::array<char, 16> line{};
      std::snprintf(line.data(), line.size(), "%zx\r\n", size);
      text += line.data() + body.substr(at, size) + "\r\n";
    }
    return HttpsReply{.octets = text + "0\r\n\r\n"};
  };
  CHECK(ask(world, http_text(most)).text() == "200 " + most);
  CHECK(ask(world, http_text(most + "x")).text() == "body_too_large");
  CHECK(ask(world, framed(most)).text() == "200 " + most);
  CHECK(ask(world, framed(most + "x")).text() == "body_too_large");
  CHECK(ask(world, {.octets = ok + "\r\n" + most}).text() == "200 " + most);
  CHECK(ask(world, {.octets = ok + "\r\n" + most + "x"}).text() == "body_too_large");
  CHECK(ask(world, {.octets = ok + "Content-Length: 18446744073709551615\r\n\r\n"}).text() == "body_too_large");
  http::HttpsRequest small = get_from("mta-sts.d.example");
  small.most_body = 3;
  CHECK(ask(world, http_text("abc"), small).text() == "200 abc");
  CHECK(ask(world, http_text("abcd"), small).text() == "body_too_large");
}

TEST_CASE("STS-11: what never ends is cut off at its limit") {
  HttpsWorld world;
  struct Row {
    HttpsReply reply;
    std::string result;
    std::string why;
  };
  const std::string x(1000, 'x');
  const std::vector<Row> rows{
      {{.octets = ok, .endless = "A: b\r\n"}, "header_too_large", "fields, each in a record of its own"},
      {{.octets = ok + "A: ", .endless = x}, "header_too_large", "one field"},
      {{.octets = "HTTP/1.1 200 ", .endless = x}, "header_too_large", "the status line"},
      {{.octets = ok + "A: b", .endless = "\r\n c"}, "header_too_large", "folded lines"},
      {{.octets = "", .endless = "HTTP/1.1 100 Continue\r\n\r\n"}, "malformed", "interim answers"},
      {{.octets = ok + "\r\n", .endless = x}, "body_too_large", "a body without length"},
      {{.octets = chunked, .endless = "3e8\r\n" + x + "\r\n"}, "body_too_large", "chunks"},
      {{.octets = chunked + "1;", .endless = x}, "malformed", "a chunk's extension"},
      {{.octets = chunked, .endless = "1;" + x + "\r\ny\r\n"}, "malformed", "chunks that are extensions mostly"},
      {{.octets = chunked + "0\r\n", .endless = "A: b\r\n"}, "malformed", "trailers"},
      {{.octets = chunked, .endless = "0"}, "malformed", "a chunk's size"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const auto start = std::chrono::steady_clock::now();
    const Asked asked = ask(world, row.reply);
    CHECK(asked.text() == row.result);
    CHECK(std::chrono::steady_clock::now() - start < 5s);
    CHECK(asked.seen.at(0).sent < 16U << 20U);  // nearly all of it in the sockets' buffers
  }
}

TEST_CASE("STS-11: one deadline holds for everything, also against a server that dribbles") {
  HttpsWorld world;
  struct Row {
    HttpsReply reply;
    std::string during;
    std::string why;
  };
  const std::vector<Row> rows{
      {{.octets = "", .end = End::hang}, "waiting for the answer", "nothing"},
      {{.octets = ok + "A: " + std::string(1000, 'x'), .drip = 10ms}, "waiting for the answer", "a slow header"},
      {{.octets = ok + "Content-Length: 1000\r\n\r\n" + std::string(1000, 'x'), .drip = 2ms},
       "the answer's body",
       "a slow body"},
      {{.octets = ok + "\r\nabc", .end = End::hang}, "the answer's body", "no end"},
      {{.octets = chunked + "3\r\nabc\r\n", .end = End::hang}, "the answer's body", "no last chunk"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    http::HttpsRequest request = get_from("mta-sts.d.example");
    const auto start = std::chrono::steady_clock::now();
    request.deadline = start + 500ms;
    const Asked asked = ask(world, row.reply, request);
    const auto took = std::chrono::steady_clock::now() - start;
    REQUIRE(asked.text() == "timeout");
    CAPTURE(asked.failure().text);
    CHECK(asked.failure().text.find(row.during) != std::string::npos);
    CHECK(took >= 500ms);
    CHECK(took < 3s);
  }
}

TEST_CASE("fetch: what is not HTTP/1 is malformed, what ends before an answer is lost") {
  HttpsWorld world;
  struct Row {
    HttpsReply reply;
    std::string result;
    std::string why;
  };
  const std::vector<Row> rows{
      {{.octets = "220 mail.example ESMTP\r\n", .end = End::hang}, "malformed", "SMTP, at once"},
      {{.octets = "HTTP/2 200\r\n\r\n"}, "malformed", "HTTP/2 in words"},
      {{.octets = "HTTP/1.2 200 OK\r\n\r\n"}, "malformed", "a version that is not"},
      {{.octets = std::string("\0\0\x12\x04\0\0\0\0\0", 9), .end = End::hang}, "malformed", "an HTTP/2 frame"},
      {{.octets = "HTTP/1.1 20 OK\r\n\r\n"}, "malformed", "a status of two digits"},
      {{.octets = "HTTP/1.1 999 OK\r\n\r\n"}, "malformed", "no such class of status"},
      {{.octets = "HTTP/1.1 099 OK\r\n\r\n"}, "malformed", "no such class of status"},
      {{.octets = "HTTP/1.1 101 Switching\r\n\r\n", .end = End::hang}, "malformed", "another protocol"},
      {{.octets = ok + "No colon\r\n\r\n"}, "malformed", "a field without colon"},
      {{.octets = ok + "A : b\r\n\r\n"}, "malformed", "a blank before the colon"},
      {{.octets = ok + std::string("A: b\0c\r\n\r\n", 10)}, "malformed", "NUL"},
      {{.octets = "HTTP/1.1 200 OK\n\nabc"}, "lost", "no CRLF"},
      {{.octets = ""}, "lost", "nothing"},
      {{.octets = "HTTP/1.1 200 OK\r\n"}, "lost", "half a header"},
      {{.octets = "HTTP/1.1 200 OK\r\n", .end = End::truncate}, "lost", "half a header, cut"},
      {{.octets = "", .end = End::reset}, "lost", "reset"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const Asked asked = ask(world, row.reply);
    CHECK(asked.text() == row.result);
    if (asked.answered()) continue;
    CAPTURE(asked.failure().text);
    CHECK(asked.failure().text.find("127.0.0.1:") == 0);
    CHECK(asked.failure().text.find_first_of(std::string("\r\n\0", 3)) == std::string::npos);
  }
}

TEST_CASE("fetch: a refusal of a large post before it was taken is heard, or told as lost") {
  HttpsWorld world;
  const std::string body(8U << 20U, 'x');
  const Script script = Script()
                            .start_tls(world.show(world.good))
                            .expect_until("\r\n\r\n")
                            .send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                            .close();
  ScriptedPeer peer(script);
  const Asked asked{world.ask(peer.port(), post_to("mta-sts.d.example", body)), {}};
  peer.finish();
  const bool heard = asked.text() == "413 ";
  const bool lost = asked.text() == "lost";
  CHECK((heard || lost));
}

}  // namespace http_https_body_test
