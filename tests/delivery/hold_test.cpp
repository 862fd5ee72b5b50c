// SPDX-License-Identifier: Apache-2.0
// What a policy holds back, and what must not let it go.
#include "tests/delivery/relay.h"

namespace delivery_hold_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

asio::awaitable<store::Id> commit_relaxed(queue::Queue& into, std::string to) {
  auto writer = into.begin(wall());
  std::string body = "TLS-Required: No\r\nSubject: x\r\n\r\nhello\r\n";
  (co_await writer.write(std::move(body))).value();
  store::Envelope envelope;
  envelope.sender = "alice@example.net";
  envelope.tls_required_no = true;
  store::NewRecipient recipient;
  recipient.address = to;
  recipient.domain = name(to.substr(to.find('@') + 1));
  std::vector<store::NewRecipient> recipients;
  recipients.push_back(std::move(recipient));
  const auto id = co_await writer.commit(std::move(envelope), std::move(recipients));
  co_return id.value();
}

}  // namespace

TEST_CASE("RTLS-13: mail that does without TLS gets through, and what the policy holds back is held back as before") {
  Relay relay;
  Sink& sink = relay.sink();  // without STARTTLS, below TLSA records
  relay.domain("dane.example");
  relay.dns.secure = {"example"};
  relay.dns.add("_" + std::to_string(sink.port()) + "._tcp.mx.dane.example TLSA 3 1 1 " + std::string(64, 'a'));
  relay.options.retry.first = 60s;
  relay.put({"held@dane.example"});
  for (const char* to : {"u1@dane.example", "u2@dane.example"}) relay.loop.run(commit_relaxed(*relay.queue, to));
  relay.start();
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  CHECK(relay.log.events("deferred").front().get("reason") == "starttls-not-supported");
  REQUIRE(relay.until([&] { return relay.loop.run(relay.queue->backoff("dane.example")).value().has_value(); }));
  const auto hold = relay.loop.run(relay.queue->backoff("dane.example")).value();
  REQUIRE(hold);
  REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 2; }));
  relay.put({"behind@dane.example"});
  relay.scheduler->notify();
  relay.pass(500ms);
  CHECK(sink.messages == 2);
  CHECK(sink.recipients.count("held@dane.example") + sink.recipients.count("behind@dane.example") == 0);
  const auto still = relay.loop.run(relay.queue->backoff("dane.example")).value();
  REQUIRE(still);
  CHECK(still->until == hold->until);
  CHECK(still->reason == "starttls-not-supported");
  CHECK(relay.list().size() == 2);
  relay.restart();  // and so after a start
  relay.pass(500ms);
  CHECK(sink.messages == 2);
}

}  // namespace delivery_hold_test
