// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>

#include "delivery/message_content.h"
#include "dsn/notice.h"
#include "tests/delivery/attempt_world.h"
#include "tests/smtpclient/keys.h"

namespace delivery_signing_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;
using smtpclient::testing::keys;
using smtpclient::testing::moment;

namespace {

const std::string ours = "From: ann@example.net\r\nSubject: x\r\n\r\nhi\r\n";

}  // namespace

TEST_CASE("DKIM-07: the server gets the signature, the message as it is, and SIZE for both") {
  Courses world;
  Script script = Courses::clear("250-mx\r\n250 SIZE 100000\r\n");
  ScriptedPeer& peer = world.peer({Courses::takes(script)});
  world.runner().sign_with(keys().ring);
  const auto job = [] {
    auto made = std::make_shared<store::Job>(*Courses::job());
    made->body = ours;
    made->size = ours.size();
    return made;
  }();
  const Attempt attempt = world.loop.run(world.runner().attempt(job, world.session));
  CHECK(line(attempt, {"dsn"}) == "delivered 2.0.0");
  world.leave();
  peer.finish();
  const std::string said = peer.received();
  const std::size_t begin = said.find("DATA\r\n") + 6;
  const std::string message = said.substr(begin, said.find("\r\n.\r\n", begin) + 2 - begin);
  CHECK(message.starts_with("DKIM-Signature: "));
  CHECK(message.ends_with(ours));
  CHECK(keys().judge(message) == "pass");
  CHECK(said.find("SIZE=" + std::to_string(message.size()) + "\r\n") != std::string::npos);
}

TEST_CASE(
    "signing: a message that cannot be read for it waits; no other host hears of it, and the session is good for "
    "others") {
  Courses world;
  Script script = Courses::clear();
  ScriptedPeer& peer = world.peer({Courses::takes(script)});
  world.runner().sign_with(keys().ring);
  const auto gone = [] {
    auto made = std::make_shared<store::Job>(*Courses::job());
    made->body.clear();
    made->chunks = 2;  // that the queue does not have
    return made;
  }();
  const Attempt attempt = world.loop.run(world.runner().attempt(gone, world.session));
  CHECK(attempt.reached);
  REQUIRE(attempt.recipients.at(0).stop);
  CHECK(attempt.recipients.at(0).stop->text.starts_with("the message cannot be signed: "));
  CHECK(line(attempt, {"reason"}) == "deferred ");
  CHECK(line(world.send(), {"dsn"}) == "delivered 2.0.0");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 1);
}

namespace {
std::string notice_in_utf8() {
  dsn::Recipient refused;
  refused.address = "δ@παράδειγμα.example";
  refused.status = "5.1.1";
  refused.reply = "550 5.1.1 no such user";
  dsn::Notice notice;
  notice.script = dsn::Script::utf8;
  notice.hostname = "relay.example.net";
  notice.from = "postmaster@example.net";
  notice.to = "ann@example.org";
  notice.message_id = "1@relay.example.net";
  notice.boundary = "b0undary";
  notice.date = notice.arrival = moment;
  notice.id = "0K7Q2M9X4T";
  notice.recipients = {refused};
  dsn::Content content;
  content.octets = dsn::Content::Octets::eight_bit;
  content.beginning =
      "From: ann@example.org\r\nSubject: Gr\xc3\xbc\xc3\x9f"
      "e\r\n\r\n";
  const dsn::Text text = dsn::compose(notice, content);
  return text.head + text.tail;
}
}  // namespace

namespace {
// Each form as it leaves, asked for twice; every one is judged by its own octets.
std::map<WireForm, std::string> forms_of(const std::string& message, std::initializer_list<WireForm> forms) {
  Courses world;
  auto made = std::make_shared<store::Job>(*Courses::job());
  made->body = message;
  made->size = message.size();
  made->envelope.kind = store::Kind::notice;
  made->envelope.body = store::Body::eight_bit;
  MessageContent outgoing(made, *world.queue);
  std::map<WireForm, std::string> sent;
  for (int time = 0; time < 2; ++time) {
    for (const WireForm form : forms) {
      CAPTURE(static_cast<int>(form));
      auto one = world.loop.run(outgoing.content(form, keys().ring, moment)).value();
      REQUIRE(std::holds_alternative<smtpclient::Content>(one));
      const smtpclient::Content& content = std::get<smtpclient::Content>(one);
      std::string octets = content.before;
      if (content.whole) octets += *content.whole;
      for (std::uint32_t n = 0; !content.whole && n < content.chunks; ++n)
        octets += world.loop.run(content.read(n)).value();
      CHECK(keys().judge(octets) == "pass");
      if (time > 0) CHECK(sent[form] == octets);
      sent[form] = octets;
    }
  }
  return sent;
}
}  // namespace

TEST_CASE(
    "DKIM-07: what goes as it is to one host, converted or plain to the next, is signed in each form for itself") {
  auto notice = forms_of(notice_in_utf8(), {WireForm::as_it_is, WireForm::plain, WireForm::binary});
  CHECK(notice[WireForm::plain] != notice[WireForm::as_it_is]);
  CHECK(notice[WireForm::binary] == notice[WireForm::as_it_is]);
  const std::string text =
      "From: <postmaster@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\nj\xc3\xb6rg\r\n";
  auto other = forms_of(text, {WireForm::as_it_is, WireForm::seven_bit, WireForm::plain});
  CHECK(other[WireForm::seven_bit] != other[WireForm::as_it_is]);
}

}  // namespace delivery_signing_test
