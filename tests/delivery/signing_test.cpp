// SPDX-License-Identifier: Apache-2.0
#include "delivery/signing.h"

#include <doctest/doctest.h>

#include <map>

#include "delivery/payload.h"
#include "dsn/notice.h"
#include "tests/delivery/conversation.h"
#include "tests/delivery/courier_world.h"
#include "tests/dkim/verify.h"

namespace delivery_signing_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {
const Time moment = from_millis(1740787200500);

struct Keys {
  Keys() {
    std::vector<dkim::Identity> identities;
    for (const auto& [selector, pem] :
         {std::pair{"rsa1", hoplock::testing::rsa_pem()}, std::pair{"ed1", hoplock::testing::ed25519_pem()}}) {
      dkim::Identity identity;
      identity.domain = name("example.net");
      identity.selector = selector;
      identity.key = std::make_shared<const dkim::Key>(dkim::Key::parse(pem).value());
      published[selector] = identity.key->public_key();
      identities.push_back(identity);
    }
    ring = std::make_shared<const dkim::Keyring>(dkim::Keyring::make(std::move(identities)).value());
  }
  std::string judge(const std::string& message) const {
    const auto first = hoplock::testing::verify(message, published, 0);
    return first == hoplock::testing::verify(message, published, 1) ? first : "the two signatures differ";
  }
  std::shared_ptr<const dkim::Keyring> ring;
  std::map<std::string, std::string> published;
};
const Keys& keys() {
  static const Keys made;
  return made;
}

// A message in pieces, which counts how often each is read.
struct Pieces {
  std::vector<std::string> pieces;
  std::vector<int> reads;
  explicit Pieces(const std::string& whole, std::size_t size = 4096) {
    for (std::size_t at = 0; at < whole.size(); at += size) pieces.push_back(whole.substr(at, size));
    reads.resize(pieces.size());
  }
  static asio::awaitable<Result<std::string>> give(Result<std::string> what) { co_return what; }
  Content content(std::optional<std::uint32_t> damaged = {}) {
    Content made;
    made.chunks = static_cast<std::uint32_t>(pieces.size());
    made.read = [this, damaged](std::uint32_t n) {
      ++reads[n];
      if (n == damaged) return give(fail(errc::bad_message, "chunk " + std::to_string(n) + ": checksum"));
      return give(pieces[n]);
    };
    return made;
  }
};

const std::string ours = "From: ann@example.net\r\nSubject: x\r\n\r\nhi\r\n";
std::string large() {
  std::string body;
  for (int i = 0; i < 2000; ++i) body += ".line  " + std::to_string(i) + "\t\r\n";
  return "From: ann@example.net\r\n\r\n" + body;
}
}  // namespace

TEST_CASE("DKIM-07: what is signed is what follows the signature, in one piece or in many, each read once for it") {
  Loop loop;
  const auto small = loop.run(sign(text(ours), keys().ring, moment)).value();
  CHECK(keys().judge(small.before + *small.whole) == "pass");
  Pieces pieces(large());
  const auto streamed = loop.run(sign(pieces.content(), keys().ring, moment)).value();
  CHECK(keys().judge(streamed.before + large()) == "pass");
  CHECK(pieces.reads == std::vector<int>(pieces.pieces.size(), 1));
  CHECK_FALSE(streamed.whole);
}

TEST_CASE("DKIM-08: without a key for its From domain a message goes as it is, and only its header is read") {
  Loop loop;
  Pieces others("From: bob@example.org\r\n" + large().substr(large().find("\r\n") + 2));
  CHECK(loop.run(sign(others.content(), keys().ring, moment)).value().before.empty());
  CHECK(others.reads.at(0) == 1);
  CHECK(others.reads.at(1) == 0);
  Pieces unread(large());
  CHECK(loop.run(sign(unread.content(), nullptr, moment)).value().before.empty());
  CHECK(unread.reads.at(0) == 0);
}

TEST_CASE("signing: a damaged chunk is an error, not a signature over half a message") {
  Loop loop;
  Pieces pieces(large());
  const auto failed = loop.run(sign(pieces.content(3), keys().ring, moment));
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().detail == "chunk 3: checksum");
}

TEST_CASE("DKIM-07: the server gets the signature, the message as it is, and SIZE for both") {
  Courses world;
  Script script = Courses::clear("250-mx\r\n250 SIZE 100000\r\n");
  ScriptedPeer& peer = world.peer({Courses::takes(script)});
  world.courier().sign_with(keys().ring);
  const auto job = [] {
    auto made = std::make_shared<store::Job>(*Courses::job());
    made->body = ours;
    made->size = ours.size();
    return made;
  }();
  const Attempt attempt = world.loop.run(world.courier().attempt(job, world.session));
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
  world.courier().sign_with(keys().ring);
  const auto gone = [] {
    auto made = std::make_shared<store::Job>(*Courses::job());
    made->body.clear();
    made->chunks = 2;  // that the queue does not have
    return made;
  }();
  const Attempt attempt = world.loop.run(world.courier().attempt(gone, world.session));
  CHECK(attempt.reached);
  REQUIRE(attempt.recipients.at(0).halt);
  CHECK(attempt.recipients.at(0).halt->text.starts_with("the message cannot be signed: "));
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
std::map<Form, std::string> forms_of(const std::string& message, std::initializer_list<Form> forms) {
  Courses world;
  auto made = std::make_shared<store::Job>(*Courses::job());
  made->body = message;
  made->size = message.size();
  made->envelope.kind = store::Kind::notice;
  made->envelope.body = store::Body::eight_bit;
  Payload payload(made, *world.queue);
  std::map<Form, std::string> sent;
  for (int time = 0; time < 2; ++time) {
    for (const Form form : forms) {
      CAPTURE(static_cast<int>(form));
      auto one = world.loop.run(payload.content(form, keys().ring, moment)).value();
      REQUIRE(std::holds_alternative<Content>(one));
      const Content& content = std::get<Content>(one);
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
  auto notice = forms_of(notice_in_utf8(), {Form::as_it_is, Form::plain, Form::binary});
  CHECK(notice[Form::plain] != notice[Form::as_it_is]);
  CHECK(notice[Form::binary] == notice[Form::as_it_is]);
  const std::string text =
      "From: <postmaster@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\nj\xc3\xb6rg\r\n";
  auto other = forms_of(text, {Form::as_it_is, Form::seven_bit, Form::plain});
  CHECK(other[Form::seven_bit] != other[Form::as_it_is]);
}

}  // namespace delivery_signing_test
