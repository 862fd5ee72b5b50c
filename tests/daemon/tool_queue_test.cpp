// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <filesystem>
#include <sstream>

#include "daemon/system.h"
#include "tests/control/controlled.h"
#include "tests/daemon/tool_run.h"

namespace daemon_tool_queue_test {

using namespace hoplock;
using control::test::Controlled;
using daemon::test::run_tool;
using daemon::test::Said;
using queue::test::at;
using queue::test::World;
using store::Verdict;
namespace json = boost::json;

namespace {

Said tool(std::vector<std::string> words, std::optional<std::size_t> width = std::nullopt) {
  return run_tool(std::move(words), at(600), width);
}

std::string configure(const support::TempDirectory& dir) {
  return dir.write("hoplock.yaml",
                   "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\n"
                   "dns: {trust_anchor: \"\", root_hints: \"\"}\n");
}

// Three messages, one deferred with a nasty reply, one held; and the daemon's end of the control socket.
struct Stage : Controlled {
  Stage() : config(configure(dir)) {
    deferred = world.put({"a@one.test", "b@one.test"}, "Subject: x\r\n\r\n\x1b[31mhello\r\n", at(1), "s@example.net");
    auto job = world.lease("one.test", at(2)).at(0);
    auto settled = World::all(job, Verdict::deferred, at(900));
    for (auto& one : settled.recipients) one.reply = "450 4.7.1 \x1b[2Jnot \xc2\x9bnow\r\nor ever\x07";
    settled.recipients[1].verdict = Verdict::bounced;
    world.apply({settled}, at(2));
    held = world.put({"c@two.test"}, "x\r\n", at(3), "");
    world.act(store::Action::hold, queue::test::ids({held}), at(4));
    queued = world.put({"d@three.test"}, "x\r\n", at(5), "s@example.net");
  }
  Said ask(std::vector<std::string> words, std::optional<std::size_t> width = std::nullopt) {
    words.insert(words.begin(), {"--config", config});
    return apart([&] { return tool(words, width); });
  }
  // At a terminal, where somebody types.
  Said answer(std::string typed, std::vector<std::string> words) {
    words.insert(words.begin(), {"--config", config});
    return apart([&] { return run_tool(std::move(words), at(600), 80, std::move(typed)); });
  }
  Said ask_json(std::vector<std::string> words) {
    words.insert(words.begin(), "--json");
    return ask(std::move(words));
  }
  std::string config;
  store::Id deferred, held, queued;
};

std::string text(const json::value& value) { return value.is_null() ? "null" : std::string(value.as_string()); }

}  // namespace

TEST_CASE("queue list --json: oldest first, in the shape of the contract") {
  Stage stage;
  const auto said = stage.ask_json({"queue", "list"});
  CHECK(said.code == 0);
  CHECK(said.tame());
  const auto list = said.data().as_array();
  REQUIRE(list.size() == 3);
  const auto& first = list[0].as_object();
  CHECK(text(first.at("id")) == stage.deferred.text());
  CHECK(text(first.at("from")) == "s@example.net");
  CHECK(text(first.at("received")) == to_rfc3339(at(1)));
  CHECK(first.at("size").as_int64() == 26);
  CHECK(text(first.at("state")) == "deferred");
  REQUIRE(first.at("recipients").as_array().size() == 2);
  const auto& recipient = first.at("recipients").as_array()[0].as_object();
  CHECK(text(recipient.at("to")) == "a@one.test");
  CHECK(text(recipient.at("state")) == "deferred");
  CHECK(recipient.at("attempts").as_int64() == 1);
  CHECK(text(recipient.at("next")) == to_rfc3339(at(900)));
  CHECK(text(recipient.at("reason")) == "connect-timeout");
  CHECK(text(recipient.at("reply")).find("not ") != std::string::npos);
  const auto& ended = first.at("recipients").as_array()[1].as_object();
  CHECK_MESSAGE(text(ended.at("state")) == "bounced", "listed while another recipient lives");
  CHECK(text(ended.at("next")) == "null");
  CHECK_MESSAGE(text(list[1].as_object().at("from")) == "<>", "the empty sender");
  CHECK(text(list[1].as_object().at("state")) == "held");
  CHECK(text(list[2].as_object().at("recipients").as_array()[0].as_object().at("reason")) == "null");
}

TEST_CASE("queue list: filters, what is under way, and nothing") {
  Stage stage;
  const auto count = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"queue", "list"});
    return stage.ask_json(std::move(words)).data().as_array().size();
  };
  CHECK(count({"--domain", "ONE.test"}) == 1);
  CHECK(count({"--sender", "s@EXAMPLE.net"}) == 2);
  CHECK(count({"--sender", "<>"}) == 1);
  CHECK(count({"--sender="}) == 1);
  CHECK(count({"--state", "held"}) == 1);
  CHECK(count({"--state", "active"}) == 0);
  CHECK(count({"--domain", "one.test", "--sender", "other@example.net"}) == 0);
  stage.world.lease("three.test", at(6));
  CHECK_MESSAGE(count({"--state", "active"}) == 1, "the daemon knows of its leases");
  const auto nothing = stage.ask_json({"queue", "list", "--domain", "none.test"});
  CHECK(nothing.out == "[]\n");
  CHECK(nothing.code == 0);
  const auto state = stage.ask({"queue", "list", "--state", "lost"});
  CHECK(state.code == 64);
  CHECK(state.err.find("allowed: queued, active, deferred, held, bounced, expired") != std::string::npos);
  CHECK(stage.ask({"queue", "list", "--domain", "a..b"}).code == 64);
}

TEST_CASE("queue list for people: one row a recipient, tame, and no wider than the terminal") {
  Stage stage;
  const auto said = stage.ask({"queue", "list"});
  CHECK(said.tame());
  CHECK(std::count(said.out.begin(), said.out.end(), '\n') == 5);
  CHECK(said.out.find(stage.deferred.text() + "   9m   26B  deferred      1  s@example.net  a@one.test    in 5m") !=
        std::string::npos);
  CHECK(said.out.find("?[2Jnot ?now or ever?") != std::string::npos);
  const auto narrow = stage.ask({"queue", "list"}, 80);
  std::istringstream lines(narrow.out);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 80 + 2 * 9);  // "…" has three octets
  CHECK(narrow.out.find(stage.deferred.text() +
                        "   9m   26B  deferred      1  in 5m  a@one.test\n    connect-timeout: 450 4.7.1 ?[2Jnot") !=
        std::string::npos);
  CHECK_MESSAGE(narrow.out.find(stage.queued.text()) != std::string::npos, "an ID is never cut");
  const auto wide = stage.ask({"queue", "list"}, 140);
  CHECK_MESSAGE(
      wide.out.find("  in 5m  s@example.net  a@one.test\n    connect-timeout: 450 4.7.1 ?[2Jnot ?now or ever?") !=
          std::string::npos,
      "with more room the sender is there, and no less of the reason\n"
          << wide.out);
  CHECK(stage.ask({"queue", "list", "--domain", "none.test"}).out == "no messages\n");
}

TEST_CASE("queue list, show, trace: mail that was never tried says which next hop it waits for, and why") {
  Stage stage;
  store::DestinationChange down;
  down.destination = "three.test";
  down.backoff.emplace();
  down.backoff->until = at(5000);
  down.backoff->failures = 3;
  down.backoff->reason = "connect-timeout";
  down.backoff->reply = "450 4.4.1 connect-timeout: mx.three.test[192.0.2.9]: no answer within 30 s";
  stage.world.apply({}, at(20), {down});
  const auto behind = stage.world.put({"e@three.test"}, "x\r\n", at(30), "s@example.net");
  const auto data = stage.ask_json({"queue", "show", behind.text()}).data().as_object();
  const auto& one = data.at("recipients").as_array()[0].as_object();
  CHECK(text(one.at("nexthop")) == "three.test");
  CHECK(text(one.at("next")) == to_rfc3339(at(5000)));
  CHECK(text(one.at("reason")) == "connect-timeout");
  CHECK(text(one.at("why")).ends_with("(all mail for three.test waits)"));
}

TEST_CASE("queue list, show: mail that is due and waits for a session says for which, and until when") {
  Stage stage;
  stage.waiting = {{"three.test", "the route's rate is used up", at(660)},
                   {"one.test", "all 20 sessions to 192.0.2.1 are in use", std::nullopt}};
  const std::string why = "the route's rate is used up (all mail for three.test waits)";
  const auto data = stage.ask_json({"queue", "show", stage.queued.text()}).data().as_object();
  const auto& one = data.at("recipients").as_array()[0].as_object();
  CHECK(text(one.at("why")) == why);
  CHECK(text(one.at("next")) == to_rfc3339(at(660)));
  CHECK(stage.ask({"queue", "list"}).says(why));
  CHECK(stage.ask({"queue", "list"}).says("in 1m"));
  CHECK_FALSE(stage.ask({"queue", "list"}).says("192.0.2.1"));  // what is not due waits for its time
  stage.waiting_asked = 0;
  stage.ask({"queue", "stats"});  // it shows nothing of it
  CHECK(stage.waiting_asked == 0);
}

// Neither had a WHY.
TEST_CASE("queue list, show, stats: what is held, or was not tried yet, says so") {
  Stage stage;
  const auto why = [&](store::Id id) {
    const auto data = stage.ask_json({"queue", "show", id.text()}).data().as_object();
    return text(data.at("recipients").as_array()[0].as_object().at("why"));
  };
  CHECK(why(stage.queued) == "not tried yet; next hop three.test");
  CHECK(why(stage.held) == "held until it is released");
  CHECK(stage.ask({"queue", "list"}, 80)
            .says("d@three.test\n    from s@example.net: not tried yet; next hop three.test"));
  stage.world.act(store::Action::hold, queue::test::ids({stage.deferred}), at(5));
  CHECK(why(stage.deferred).ends_with("(held until it is released)"));
  const auto stats = stage.ask({"queue", "stats"}, 80);
  CHECK_MESSAGE(stats.says("two.test    held"), stats.out);
}

TEST_CASE("queue show: envelope, recipients, attempts; the body raw only where no terminal is") {
  Stage stage;
  const auto data = stage.ask_json({"queue", "show", stage.deferred.text()}).data().as_object();
  CHECK(text(data.at("id")) == stage.deferred.text());
  REQUIRE(data.at("history").as_array().size() == 2);
  CHECK(text(data.at("history").as_array()[0].as_object().at("time")) == to_rfc3339(at(2)));
  const auto plain = stage.ask({"queue", "show", stage.deferred.text()});
  CHECK(plain.tame());
  CHECK(plain.out.find("From:      s@example.net\n") != std::string::npos);
  const auto piped = stage.ask({"queue", "show", stage.deferred.text(), "--body"});
  CHECK(piped.out.ends_with("\n\nSubject: x\r\n\r\n\x1b[31mhello\r\n"));
  const auto terminal = stage.ask({"queue", "show", stage.deferred.text(), "--body"}, 80);
  CHECK(terminal.tame());
  CHECK(terminal.out.ends_with("\n\nSubject: x\n\n?[31mhello\n"));
  CHECK(stage.ask({"queue", "show", "0000000001"}).code == 1);
  CHECK(stage.ask({"queue", "show", "no-id-at-all"}).code == 1);
}

// CONTRACT: `history:[…]`, its attempts. It had the last one of each recipient.
TEST_CASE("queue show --json: every attempt at every recipient, as long as a history is kept of it") {
  Stage stage;
  stage.world.queue->set_history(store::Recording::on);
  const auto id = stage.world.put({"e@four.test", "f@four.test"}, "x\r\n", at(10), "s@example.net");
  for (const int second : {20, 400}) {
    const std::string attempt = second == 20 ? "1" : "2";
    auto settled = World::all(stage.world.lease("four.test", at(second)).at(0), Verdict::deferred, at(second + 300));
    settled.history_entry =
        R"({"event":"hop","mx":"mx0.four.test","reason":"connect-refused"})"
        "\n"
        R"({"event":"deferred","attempt":)" +
        attempt +
        R"(,"mx":"mx.four.test","ip":"192.0.2.4","policy":"dane","tls":"TLSv1.3","auth":"none",)"
        R"("reason":"tlsa-invalid","dsn":"4.7.323","reply":"450 4.7.323 no","to":["e@four.test","f@four.test"]})";
    stage.world.apply({settled}, at(second));
  }
  const auto data = stage.ask_json({"queue", "show", id.text()}).data().as_object();
  const auto& history = data.at("history").as_array();
  REQUIRE(history.size() == 4);
  const auto& second = history[1].as_object();
  CHECK(text(second.at("time")) == to_rfc3339(at(20)));
  CHECK(text(second.at("to")) == "f@four.test");
  CHECK(second.at("attempt").as_int64() == 1);
  CHECK(text(second.at("outcome")) == "deferred");
  CHECK(text(second.at("host")) == "mx.four.test[192.0.2.4]");
  CHECK(text(second.at("policy")) == "dane");
  CHECK(text(second.at("tls")) == "TLSv1.3");
  CHECK(text(second.at("auth")) == "none");
  CHECK(text(second.at("cert")) == "null");
  CHECK(text(second.at("dsn")) == "4.7.323");
  CHECK(text(second.at("reply")) == "450 4.7.323 no");
  CHECK(text(second.at("reason")) == "tlsa-invalid");
  CHECK(history[3].as_object().at("attempt").as_int64() == 2);
  CHECK(text(history[3].as_object().at("time")) == to_rfc3339(at(400)));
}

TEST_CASE("backup: 73 where the copy cannot be made, 74 where there is no store to copy") {
  Stage stage;
  const std::string copy = stage.dir.file("copy.db");
  CHECK(stage.ask({"backup", copy}).code == 0);
  CHECK(stage.ask({"backup", copy}).code == daemon::cannot_create);
  CHECK(stage.ask({"backup", stage.dir.file("none/copy.db")}).code == daemon::cannot_create);
  const support::TempDirectory empty;
  const auto nothing = tool({"--config", configure(empty), "backup", empty.file("copy.db")});
  CHECK(nothing.code == daemon::io_error);
  CHECK(nothing.err.find("queue.db") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(empty.file("copy.db")));
}

TEST_CASE("queue stats: by state and by domain") {
  Stage stage;
  const auto data = stage.ask_json({"queue", "stats"}).data().as_object();
  CHECK(data.at("total").as_int64() == 3);
  CHECK(text(data.at("oldest")) == to_rfc3339(at(1)));
  const auto& states = data.at("states").as_object();
  CHECK(states.at("deferred").as_object().at("count").as_int64() == 1);
  CHECK(text(states.at("held").as_object().at("oldest")) == to_rfc3339(at(3)));
  CHECK(data.at("domains").as_array().size() >= 3);
  const auto plain = stage.ask({"queue", "stats"});
  CHECK(plain.out.find("3 messages, the oldest 9m old\n") == 0);
}

TEST_CASE("queue hold, release, retry, remove: how many were touched, and exit 1 for none") {
  Stage stage;
  const auto touched = [&](std::vector<std::string> words) {
    const auto said = stage.ask_json(std::move(words));
    return std::to_string(said.code) + " " + std::to_string(said.data().as_object().at("touched").as_int64());
  };
  CHECK(touched({"queue", "hold", stage.queued.text(), stage.deferred.text()}) == "0 2");
  CHECK(touched({"queue", "release", "--all"}) == "0 3");
  CHECK(touched({"queue", "retry", "--sender", "s@example.net"}) == "0 2");
  CHECK(touched({"queue", "remove", "--domain", "two.test", "--yes"}) == "0 1");
  CHECK(touched({"queue", "remove", "--domain", "two.test", "--yes"}) == "1 0");
  CHECK(touched({"queue", "hold", "no-id-at-all"}) == "1 0");
  CHECK(stage.ask({"queue", "hold", stage.queued.text()}).out == "1 message held\n");
  CHECK(stage.ask({"queue", "hold"}).code == 64);
  CHECK(stage.ask({"queue", "hold", "--all", "--domain", "a.test"}).code == 64);
  CHECK(stage.ask({"queue", "hold", "--all", stage.queued.text()}).code == 64);
}

TEST_CASE("queue remove, bounce: of all that matches only after a yes; a script says --yes") {
  Stage stage;
  const auto silent = stage.ask({"queue", "remove", "--all"});
  CHECK(silent.code == 64);
  CHECK(silent.err.find("--yes") != std::string::npos);
  CHECK(stage.ask({"queue", "bounce", "--sender", "s@example.net"}).code == 64);
  CHECK(stage.ask_json({"queue", "stats"}).data().as_object().at("total").as_int64() == 3);
  const auto no = stage.answer("n\n", {"queue", "remove", "--all"});
  CHECK(no.code == 1);
  CHECK(no.err.find("remove 3 messages? This cannot be undone. [y/N] ") == 0);
  CHECK_MESSAGE(stage.answer("", {"queue", "remove", "--all"}).code == 1, "the end of input is no yes");
  CHECK(stage.answer("y\n", {"queue", "remove", "--domain", "two.test"}).out == "1 message removed\n");
  CHECK(stage.ask({"queue", "remove", "--all", "--yes"}).out == "2 messages removed\n");
}

TEST_CASE("queue: the beginning of an ID stands for it where it is the only one") {
  Stage stage;
  const std::string id = stage.deferred.text();
  std::size_t unique = 1;
  const auto shared = [&](const store::Id& other) {
    std::size_t n = 0;
    while (n < id.size() && id[n] == other.text()[n]) ++n;
    return n + 1;
  };
  unique = std::max(shared(stage.queued), shared(stage.held));
  REQUIRE(unique < id.size());
  const std::string prefix = id.substr(0, std::max<std::size_t>(unique, 3));
  CHECK(text(stage.ask_json({"queue", "show", prefix}).data().as_object().at("id")) == id);
  CHECK(stage.ask({"queue", "hold", prefix}).out == "1 message held\n");
  const auto many = stage.ask({"queue", "show", id.substr(0, std::min(unique - 1, std::size_t{9}))});
  CHECK(many.code == 1);
  CHECK(many.err.find("several messages begin with") != std::string::npos);
  CHECK_MESSAGE(stage.ask({"queue", "show", id.substr(0, 2)}).err.find("there is no message") != std::string::npos,
                "too short");
}

TEST_CASE("queue: without the daemon it is read all the same, and actions are exit 69") {
  support::TempDirectory dir;
  { World(dir.path()).put({"a@one.test"}, "x\r\n", at(1)); }
  const std::string config = configure(dir);
  CHECK(tool({"--config", config, "--json", "queue", "list"}).data().as_array().size() == 1);
  CHECK(tool({"--config", config, "queue", "stats"}).code == 0);
  const auto said = tool({"--config", config, "queue", "hold", "--all"});
  CHECK(said.code == 69);
  CHECK(said.out.empty());
  CHECK(said.err.find("not reachable") != std::string::npos);
}

TEST_CASE("queue: no database, and a damaged one, are exit 74") {
  support::TempDirectory dir;
  const std::string config = configure(dir);
  CHECK(tool({"--config", config, "queue", "list"}).code == 74);
  dir.write("queue.db", "this is no database, however long one looks at it, and it is long enough to be one " +
                            std::string(4096, 'x'));
  const auto said = tool({"--config", config, "--json", "queue", "list"});
  CHECK(said.code == 74);
  CHECK(said.err.find("queue.db") != std::string::npos);
}

}  // namespace daemon_tool_queue_test
