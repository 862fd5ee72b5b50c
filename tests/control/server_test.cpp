// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "control/client.h"
#include "control/peer.h"
#include "tests/control/controlled.h"

namespace control_server_test {

using namespace hoplock;
using control::Client;
using control::test::Controlled;
using control::test::request;

TEST_CASE("control: hold, release, retry and remove act on the queue, and the log says who did it") {
  Controlled control;
  const auto first = control.world.put({"a@one.test"});
  const auto second = control.world.put({"b@two.test"});
  const std::string me = control::user_name(geteuid());

  CHECK(control.act(store::Action::hold, queue::test::ids({first})).messages == 1);
  CHECK(control.world.list()[0].state() == "held");
  CHECK(control.lines("held") == first.text() + " " + me + ";");
  CHECK(control.kicks == 0);

  CHECK(control.act(store::Action::retry, queue::test::domain("two.test")).messages == 1);
  CHECK_MESSAGE(control.kicks == 2, "before, for what is remembered of sites, and after, for what is due now");
  CHECK(control.lines("retried") == second.text() + " " + me + ";");

  CHECK(control.act(store::Action::release, queue::test::ids({first})).messages == 1);
  CHECK(control.kicks == 4);
  CHECK(control.world.list()[0].state() == "queued");

  store::Selection all;
  all.by = store::Selection::By::all;
  CHECK(control.act(store::Action::remove, all).messages == 2);
  CHECK(control.world.list().empty());
  // CONTRACT: of a bulk order one line a batch, which names every message
  const auto removed = control.log.events("removed");
  REQUIRE(removed.size() == 1);
  CHECK(removed[0].get("by") == me);
  CHECK(removed[0].get("count") == "2");
  CHECK(removed[0].get("ids") == first.text() + "," + second.text());
  CHECK(control.act(store::Action::remove, all).messages == 0);
}

TEST_CASE("control: of a large order each batch has its line, in the order of the transactions, with every message") {
  Controlled control;
  std::string all;
  for (int i = 0; i < 1100; ++i) all += (i ? "," : "") + control.world.put({"a@one.test"}, "x\r\n").text();
  store::Selection everything;
  everything.by = store::Selection::By::all;
  CHECK(control.act(store::Action::hold, everything).messages == 1100);
  std::string told;
  std::string counts;
  for (const auto& one : control.log.events("held")) {
    told += (told.empty() ? "" : ",") + std::string(one.get("ids"));
    counts += std::string(one.get("count")) + " ";
  }
  CHECK(told == all);
  CHECK(counts == "512 512 76 ");
}

TEST_CASE("control: what is under way and the daemon's state are told") {
  Controlled control;
  const auto id = control.world.put({"a@one.test", "b@one.test"});
  control.world.lease("one.test");
  const auto active = control.apart([&] { return Client::connect(control.path).value().active().value(); });
  REQUIRE(active.size() == 2);
  CHECK(active[0] == store::Lease{id, 0});
  const auto status = control.apart([&] { return Client::connect(control.path).value().status().value(); });
  REQUIRE(status.problems.size() == 1);
  CHECK(status.problems[0].name == "dnssec");
  CHECK(status.pid == getpid());
  CHECK(status.counts.at("connections") == 3);
  CHECK(status.counts.at("active") == 2);
}

TEST_CASE("control: more ids than one request may hold go in several, on one connection") {
  Controlled control;
  const auto id = control.world.put({"a@one.test"});
  store::Selection many = queue::test::ids(std::vector<store::Id>(control::max_ids + 1, store::Id{1}));
  many.ids.push_back(id);
  CHECK(control.act(store::Action::hold, many).messages == 1);
}

TEST_CASE("control: the socket is 0660, replaces a stale one, and goes with the server") {
  Controlled control;
  struct stat file {};
  REQUIRE(stat(control.path.c_str(), &file) == 0);
  CHECK(S_ISSOCK(file.st_mode));
  CHECK((file.st_mode & 0777U) == 0660U);
  {
    control::Server heir(control.world.loop.executor(), *control.world.queue, control.log, {});
    CHECK(heir.open(control.path).has_value());  // what a killed daemon left behind
  }
  CHECK_FALSE(std::filesystem::exists(control.path));
}

TEST_CASE("control: a file that is no socket is not replaced, and a path that is too long is named") {
  Controlled control;
  const std::string file = control.dir.write("precious", "data");
  control::Server other(control.world.loop.executor(), *control.world.queue, control.log, {});
  const auto refused = other.open(file);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().detail.find(file) != std::string::npos);
  CHECK(std::filesystem::file_size(file) == 4);
  const auto too_long = other.open(control.dir.file(std::string(120, 'x')));
  REQUIRE_FALSE(too_long.has_value());
  CHECK(too_long.error().detail.find("107 octets") != std::string::npos);
}

TEST_CASE("control: without a daemon the client says that it is not reachable") {
  support::TempDirectory dir;
  const auto none = Client::connect(dir.file("control.sock"));
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().code == errc::not_connected);
  CHECK(none.error().detail.find("is hoplockd running?") != std::string::npos);
  CHECK(Client::connect(dir.file(std::string(200, 'x'))).error().code == errc::not_connected);
}

TEST_CASE("control: a daemon that stands still is given up within ten seconds, whatever it was asked") {
  Controlled control;  // whose loop does not turn
  const auto start = std::chrono::steady_clock::now();
  auto question = std::async(std::launch::async, [&] { return Client::connect(control.path).value().status(); });
  store::Selection everything;
  everything.by = store::Selection::By::all;
  const auto acted = Client::connect(control.path).value().act(store::Action::retry, everything);
  const auto asked = question.get();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  REQUIRE_FALSE(acted.has_value());
  CHECK(acted.error().code == errc::not_connected);
  REQUIRE_FALSE(asked.has_value());
  CHECK(asked.error().code == errc::not_connected);
}

TEST_CASE("control: a daemon that takes long over an order is waited for") {
  Controlled control;
  control.fetch_takes = std::chrono::milliseconds(6000);
  const auto domain = dns::Name::parse("contoso.com").value();
  CHECK(control.apart([&] { return Client::connect(control.path).value().refresh_policy(domain).has_value(); }));
}

TEST_CASE("compact: what is left is told once a second, and what came of it at the end") {
  Controlled control;
  std::vector<std::uint64_t> told;
  const auto compacted = control.apart([&] {
    return Client::connect(control.path).value().compact([&](std::uint64_t pages) { told.push_back(pages); }).value();
  });
  CHECK(compacted.pages == 30);
  CHECK(compacted.octets == 4096);
  CHECK(told == std::vector<std::uint64_t>{20});
  CHECK(control.log.events("compacted").size() == 1);
}

TEST_CASE("control: at the stop idle clients are let go at once") {
  Controlled control;
  std::optional<Client> idle;
  control.apart([&] {
    idle.emplace(Client::connect(control.path).value());
    return idle->status().has_value();
  });
  const auto begin = std::chrono::steady_clock::now();
  control.world.loop.run(control.server.stop(begin + std::chrono::seconds(20)));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  CHECK_FALSE(idle->status().has_value());
}

TEST_CASE("may_control: root, the daemon's own user and the socket's group, nobody else") {
  control::Peer peer;
  peer.uid = 1000;
  peer.groups = {1000, 27};
  CHECK(control::may_control(peer, 1000, 5));
  CHECK(control::may_control(peer, 999, 27));
  CHECK_FALSE(control::may_control(peer, 999, 5));
  peer.uid = 0;
  CHECK(control::may_control(peer, 999, 5));
  CHECK(control::user_name(0) == "root");
  CHECK(control::user_name(4'000'000'001U) == "4000000001");
}

TEST_CASE("sts-refresh: the daemon fetches, and says what came of it") {
  Controlled at;
  const auto news = at.apart(
      [&] { return Client::connect(at.path).value().refresh_policy(dns::Name::parse("contoso.com").value()).value(); });
  CHECK(news.action == route::PolicyEvent::Action::refreshed);
  CHECK(news.domain.text() == "contoso.com");
  CHECK(news.id == "7");
  CHECK(news.mode == mtasts::Mode::testing);
  CHECK(news.max_age == Seconds(86400));
  CHECK(news.expires == queue::test::t0);
  CHECK(news.error.empty());
  const auto refusal = at.said(request("/v1/sts-refresh", "{}"));
  CHECK(refusal.starts_with("HTTP/1.1 400 "));
  CHECK(refusal.find(R"({"error":"not the JSON that is asked for)") != std::string::npos);
}

TEST_CASE("tlsrpt-send: the daemon is told the day and the domain, and says how many reports it sends") {
  Controlled at;
  const auto send = [&at](std::optional<dns::Name> domain) {
    control::SendReports order;
    order.day = tlsrpt::parse_day("2025-03-01").value();
    order.domain = std::move(domain);
    return at.apart([&] { return Client::connect(at.path).value().send_reports(order).value(); });
  };
  CHECK(send(std::nullopt).found == 3);
  CHECK(send(std::nullopt).sending == 2);
  CHECK(send(dns::Name::parse("contoso.com").value()).found == 0);
  CHECK(at.said(request("/v1/tlsrpt-send", R"({"day":"2025-02-30","domain":null})")).starts_with("HTTP/1.1 400 "));
}

TEST_CASE("control::Server: a reload says what the daemon complained of, or nothing") {
  Controlled control;
  const auto reload = [&] { return Client::connect(control.path).value().reload().value(); };
  CHECK_FALSE(control.apart(reload).has_value());
  CHECK(control.reloads == 1);
  control.complaint = "/etc/hoplock/hoplock.yaml:3:1: unknown key";
  CHECK(control.apart(reload) == control.complaint);
}

}  // namespace control_server_test
