// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/mail.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/ascii.h"
#include "dkim/signer.h"
#include "tests/dkim/verify.h"
#include "tlsrpt/gzip.h"

namespace tlsrpt_mail_test {

using namespace hoplock;
using namespace hoplock::tlsrpt;

namespace {
dns::Name name(std::string_view text) { return dns::Name::parse(text).value(); }

Mail mail(std::string domain = "d.ex") {
  Mail made;
  made.submitter = Submitter::make("Relay", "tls@relay.example", "tlsrpt@relay.example").value();
  made.from = "tlsrpt@relay.example";
  made.to = "\"a,b\"@x.example";
  made.domain = name(domain);
  made.day = parse_day("2025-03-01").value();
  made.report_id = report_id(made.submitter, made.domain, made.day, "1");
  made.file_name = file_name(made.submitter, made.domain, made.day, "1");
  made.json_gz = gzip("{\"some\":\"json\"}" + std::string(1000, ' '));
  made.message_id = "1.2@relay.example";
  made.date = parse_rfc3339("2025-03-02T00:31:00Z").value();
  return made;
}

std::string between(const std::string& text, std::string_view from, std::string_view to) {
  const std::size_t begin = text.find(from);
  REQUIRE(begin != std::string::npos);
  const std::size_t end = text.find(to, begin + from.size());
  REQUIRE(end != std::string::npos);
  return text.substr(begin + from.size(), end - begin - from.size());
}
}  // namespace

TEST_CASE("RPT-35: multipart/report with a text and the gzipped report, in this order") {
  const std::string text = to_message(mail());
  CHECK(text.find("Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"=_hoplock-tlsrpt\"\r\n") !=
        std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') == std::count(text.begin(), text.end(), '\r'));
  const std::string body = text.substr(text.find("\r\n\r\n") + 4);
  CHECK(body.starts_with("--=_hoplock-tlsrpt\r\nContent-Type: text/plain;"));
  CHECK(body.ends_with("\r\n--=_hoplock-tlsrpt--\r\n"));
  const std::string part = between(body, "Content-Type: application/tlsrpt+gzip\r\n", "\r\n--=_hoplock-tlsrpt--");
  CHECK(part.starts_with("Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n\tfilename=\"" +
                         mail().file_name + "\"\r\n\r\n"));
  std::string encoded = part.substr(part.find("\r\n\r\n") + 4);
  std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
  const auto gz = from_base64(encoded);
  REQUIRE(gz);
  CHECK(*gz == mail().json_gz);
  CHECK(gunzip(*gz, 100000).value().starts_with("{\"some\":\"json\"}"));
}

TEST_CASE("RPT-33, RPT-36: the Subject and the TLS-Report fields name domain, submitter and report-id") {
  const std::string text = to_message(mail());
  const std::string header = text.substr(0, text.find("\r\n\r\n") + 2);
  std::string subject = between(header, "\r\nSubject: ", "\r\nMessage-ID");
  std::erase_if(subject, [](char c) { return c == '\r' || c == '\n'; });
  CHECK(subject == "Report Domain: d.ex Submitter: relay.example Report-ID: <2025-03-01.d.ex.1@relay.example>");
  CHECK(header.find("\r\nTLS-Report-Domain: d.ex\r\n") != std::string::npos);
  CHECK(header.find("\r\nTLS-Report-Submitter: relay.example\r\n") != std::string::npos);
  CHECK(header.find("\r\nTLS-Required: No\r\n") != std::string::npos);
  CHECK(header.find("\r\nTo: <\"a,b\"@x.example>\r\n") != std::string::npos);
  CHECK(header.starts_with("From: <tlsrpt@relay.example>\r\n"));
  CHECK(header.find("\r\nMessage-ID: <1.2@relay.example>\r\n") != std::string::npos);
  CHECK(header.find("\r\nDate: Sun, 02 Mar 2025 00:31:00 +0000\r\n") != std::string::npos);
}

TEST_CASE("RPT-30: the same report is the same octets, compressed and as a mail") {
  CHECK(gzip("some text") == gzip("some text"));
  CHECK(to_message(mail()) == to_message(mail()));
}

TEST_CASE("no line of a report mail is longer than SMTP allows, however long the names") {
  const std::string label(63, 'a');
  const std::string text = to_message(mail(label + "." + label + "." + label + ".example"));
  for (const auto line : split(text, '\n')) CHECK(line.size() <= 999);
  CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c > 0; }));
}

TEST_CASE("gunzip takes one whole file, and no more of it than it may") {
  const std::string text(200'000, 'x');
  const std::string gz = gzip(text);
  CHECK(gz.substr(0, 2) == "\x1f\x8b");
  CHECK(gz.size() < 1000);
  CHECK(gunzip(gz, text.size()).value() == text);
  CHECK_FALSE(gunzip(gz, text.size() - 1).has_value());
  CHECK_FALSE(gunzip(gz + "x", text.size()).has_value());
  CHECK_FALSE(gunzip(gz.substr(0, gz.size() - 1), text.size()).has_value());
  CHECK_FALSE(gunzip("", 10).has_value());
  CHECK_FALSE(gunzip("plain", 10).has_value());
  CHECK(gunzip(gzip(""), 0).value().empty());
}

TEST_CASE("RPT-36, RPT-37: signed, both TLS-Report fields are in h=, there is no l=, and the signature verifies") {
  const auto key = std::make_shared<const dkim::Key>(dkim::Key::parse(hoplock::testing::rsa_pem()).value());
  dkim::Signer signer(
      std::make_shared<const dkim::Keyring>(dkim::Keyring::make({{name("relay.example"), "s1", key}}).value()));
  const std::string text = to_message(mail());
  signer.feed(text);
  const auto done = signer.finish(from_millis(0));
  REQUIRE(done.has_value());
  CHECK(hoplock::testing::verify(done->fields + text, {{"s1", key->public_key()}}) == "pass");
  auto tags = hoplock::testing::tags_of(done->fields);
  CHECK((":" + tags["h"] + ":").find(":TLS-Report-Domain:TLS-Report-Domain:") != std::string::npos);
  CHECK((":" + tags["h"] + ":").find(":TLS-Report-Submitter:TLS-Report-Submitter:") != std::string::npos);
  CHECK(tags["d"] == "relay.example");
  CHECK(tags.count("l") == 0);
}

}  // namespace tlsrpt_mail_test
