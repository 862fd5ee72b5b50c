// SPDX-License-Identifier: Apache-2.0
#include "page/pages.h"

#include <doctest/doctest.h>

#include "store_sqlite/ledger.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/readers.h"
#include "tests/queue/world.h"

namespace page_pages_test {

using namespace hoplock;
using queue::test::t0;

namespace {

std::vector<disk::Migration> all_tables() {
  auto all = queue::test::World::own_migrations();
  for (auto&& list : {store_sqlite::policy_migrations(), store_sqlite::ledger_migrations()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

queue::Options recording() {
  queue::Options options;
  options.history = store::Recording::on;
  return options;
}

struct Site {
  std::string file;  // what the pages take for the database
  support::TempDirectory dir;
  queue::test::World world{dir.path(), recording(), t0, all_tables()};
  monitor::Surveyor surveyor{world.loop.executor(),
                             {store_sqlite::readers_of(dir / file), std::chrono::hours(1)},
                             [this] { return world.queue->active(); }};
  monitor::Counters counters;
  page::Lookups lookups{world.loop.executor(), store_sqlite::readers_of(dir / file)};
  route::Table table{{}, {}};
  page::Pages pages;

  explicit Site(std::string of = "queue.db") : file(std::move(of)), pages(parts()) {}
  page::Pages::Parts parts() {
    page::Pages::Parts made{surveyor, counters, lookups, nullptr, nullptr, nullptr};
    made.status = [] {
      monitor::DaemonStatus status;
      status.hostname = "relay.test";
      status.listeners = 1;
      status.now = t0;
      return status;
    };
    made.active = [this] { return world.queue->active(); };
    made.routes = [this]() -> const route::Table& { return table; };
    return made;
  }
  http::Reply get(const std::string& target) {
    http::Request request;
    request.path = target.substr(0, target.find('?'));
    if (target.find('?') != std::string::npos) request.query = target.substr(target.find('?') + 1);
    return world.loop.run(pages.answer(std::move(request)));
  }
};

bool has(const http::Reply& reply, std::string_view text) { return reply.body.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("pages: front, assets, and words where there is nothing") {
  Site site;
  CHECK(site.get("/").status == 200);
  CHECK(site.get("/").type == "text/html; charset=utf-8");
  CHECK(has(site.get("/"), "Mail flows"));
  CHECK(site.get("/page.css").type == "text/css; charset=utf-8");
  CHECK(site.get("/page.js").status == 200);
  CHECK(site.get("/icon/bad.svg").status == 200);
  for (const char* path : {"/nothing", "/icon/", "/domain/", "/domain/..", "/domain/a%00b", "/message/", "/message/0",
                           "/message/<x>", ""}) {
    CAPTURE(path);
    CHECK(site.get(path).status == 404);
    CHECK(site.get(path).type == "text/html; charset=utf-8");
  }
}

TEST_CASE("pages: a message, by its ID or the beginning of it") {
  Site site;
  const auto id = site.world.put({"b@two.test"}).text();
  const auto page = site.get("/message/" + id);
  CHECK(page.status == 200);
  CHECK(has(page, "queued, in the queue"));
  CHECK(has(page, "<b>accepted</b>"));
  CHECK(site.get("/find?q=" + id).location == "/message/" + id);
  CHECK(site.get("/find?q=" + id.substr(0, 9)).location == "/message/" + id);
  CHECK(site.get("/find?q=" + id).status == 303);
  CHECK(site.get("/message/0000000001").status == 404);
  site.world.put({"c@two.test"});
  const auto both = site.get("/find?q=" + id.substr(0, 4));
  CHECK(both.status == 200);
  CHECK(has(both, "/message/" + id));
}

TEST_CASE("pages: a domain, and an address, whatever their case") {
  Site site;
  const auto id = site.world.put({"b@two.test"}).text();
  CHECK(site.get("/find?q=Two.test").location == "/domain/two.test");
  const auto page = site.get("/domain/TWO.test");
  CHECK(page.status == 200);
  CHECK(has(page, "/message/" + id));
  CHECK(has(page, "Mail for 1 recipient waits"));
  CHECK(site.get("/domain/other.test").status == 404);
  CHECK(has(site.get("/find?q=%3CB%40two.test%3E"), "/message/" + id));
  CHECK(site.get("/find?q=nobody%40two.test").status == 404);
}

TEST_CASE("pages: nothing of what somebody seeks is markup, or a header") {
  Site site;
  for (const char* word :
       {"%22%3E%3Cscript%3E", "%3Cimg+src%3Dx%3E%40x", "a%0d%0aSet-Cookie:x", "\"><script>", "%E2%80%AE"}) {
    CAPTURE(word);
    const auto reply = site.get("/find?q=" + std::string(word));
    CHECK(reply.body.find("<script>") == std::string::npos);
    CHECK(reply.body.find("<img") == std::string::npos);
    CHECK(reply.location.find_first_of("\r\n") == std::string::npos);
  }
  CHECK(site.get("/find?q=" + std::string(5000, 'a')).status == 200);
  CHECK(site.get("/find").status == 200);
  CHECK(site.get("/find?q=").status == 200);
}

TEST_CASE("pages: more questions at once than there is room for are told so, and the others answered") {
  Site site;
  std::vector<std::future<std::shared_ptr<const page::MessageLook>>> asked;
  for (std::size_t i = 0; i < page::Lookups::most_waiting + 3; ++i)
    asked.push_back(
        boost::asio::co_spawn(site.world.loop.io(), site.lookups.message(store::Id{1}, {}), boost::asio::use_future));
  CHECK(site.get("/").status == 200);
  std::size_t answered = 0;
  for (auto& one : asked) {
    while (one.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      site.world.loop.io().run_one_for(std::chrono::seconds(10));
    if (one.get()) ++answered;
  }
  CHECK(answered == page::Lookups::most_waiting);
}

TEST_CASE("pages: a database that cannot be read is said on each page, and nothing is said of what nobody knows") {
  Site site("broken.db");
  const auto id = site.world.put({"b@two.test"}).text();
  for (const bool there : {false, true}) {
    CAPTURE(there);
    if (there) site.dir.write("broken.db", std::string(8192, 'x'));
    const auto front = site.get("/");
    CHECK(front.status == 200);
    CHECK(has(front, "Not all of the database can be read"));
    for (const std::string& path :
         {std::string("/message/") + id, std::string("/domain/two.test"), std::string("/find?q=b%40two.test")}) {
      CAPTURE(path);
      const auto page = site.get(path);
      CHECK(page.status == 503);
      CHECK(has(page, "could not be read"));
      for (const char* wrong : {"Nothing is known", "gone from the queue", "No mail waits", "Nothing was delivered",
                                "No report was counted", "None in the time", "Mail flows"}) {
        CAPTURE(wrong);
        CHECK_FALSE(has(page, wrong));
      }
    }
    for (const char* wrong : {"Mail flows", "No mail waits", "0 in force", "Nothing was counted"}) {
      CAPTURE(wrong);
      CHECK_FALSE(has(front, wrong));
    }
  }
}

}  // namespace page_pages_test
