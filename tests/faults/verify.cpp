// SPDX-License-Identifier: Apache-2.0
// The store that is left, held against what was answered.
#include <fstream>
#include <random>

#include "disk/db.h"
#include "store_sqlite/mail_reader.h"
#include "tests/faults/life.h"
#include "tests/queue/world.h"

namespace hoplock::faults {

using namespace hoplock::queue;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;

namespace {

constexpr std::size_t sector = 512;

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool in_memory_only(const std::filesystem::path& path) { return path.native().ends_with("-shm"); }

// A body says in its first line how long it is.
std::string torn(SqliteMailReader& reader, Id id) {
  std::string body;
  const auto read = reader.body(id, [&body](std::string_view octets) {
    body += octets;
    return Go::on;
  });
  if (!read) return read.error().detail;
  if (body == "Subject: notice\r\n\r\nfailed\r\n") return {};
  const std::string start = "Subject: ";
  if (!body.starts_with(start) || std::stoul(body.substr(start.size())) != body.size())
    return "is " + std::to_string(body.size()) + " octets";
  return {};
}

struct Found {
  std::vector<std::string> wrong;
  void add(const std::string& what) { wrong.push_back(what); }
  void hold(queue::test::World& world, const std::string& what, const std::string& table) {
    if (const auto n = world.count(table); n != 0) add(std::to_string(n) + " " + what);
  }
};

void verify_message(Found& found, SqliteMailReader& reader, std::int64_t id, const Ledger::Fate& fate) {
  const auto message = reader.show(Id{id}, {});
  const std::string name = "message " + std::to_string(id) + " ";
  if (!message) return found.add(name + message.error().detail);
  const bool there = message->has_value();
  if (there) {
    if (const auto what = torn(reader, Id{id}); !what.empty()) found.add(name + "is torn: " + what);
    if ((*message)->recipients.size() != 1) return found.add(name + "has no recipient");
    const auto state = (*message)->recipients[0].state;
    if (state == State::held && fate.hold == Ledger::Hold::no) found.add(name + "is held though nobody ordered it");
    if (state != State::held && fate.hold == Ledger::Hold::yes) found.add(name + "was held, and is not");
    if (fate.removed) found.add(name + "was removed, and is there");
    if (fate.settled && state != State::bounced)
      found.add(name + "was settled, and is there as " + std::string(to_text(state)));
  } else if (fate.accepted && !fate.settling && !fate.removing) {
    found.add(name + "was accepted, and is LOST");
  }
}

}  // namespace

void cut_power(const std::filesystem::path& directory, const std::filesystem::path& shadow,
               const std::filesystem::path& out, Survival survival, unsigned seed) {
  std::mt19937 random(seed);
  const auto coin = [&] { return survival == Survival::sectors_at_random && (random() & 1U) != 0; };
  std::filesystem::create_directories(out);
  for (const auto& entry : std::filesystem::directory_iterator(shadow)) {
    const auto name = entry.path().filename();
    if (in_memory_only(name)) continue;
    std::string stable = content(entry.path());
    const bool there = std::filesystem::exists(directory / name);
    if (!there && coin()) continue;  // its removal survived
    if (there) {
      const std::string newer = content(directory / name);
      if (coin()) stable.resize(newer.size());
      for (std::size_t at = 0; at < stable.size() && at < newer.size(); at += sector)
        if (coin())
          stable.replace(at, std::min(sector, stable.size() - at), newer, at, std::min(sector, stable.size() - at));
    }
    std::ofstream(out / name, std::ios::binary) << stable;
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {  // what this life never opened
    const auto name = entry.path().filename();
    if (!in_memory_only(name) && !std::filesystem::exists(shadow / name))
      std::filesystem::copy(entry.path(), out / name);
  }
}

std::vector<std::string> verify(const std::filesystem::path& directory, const Ledger& ledger) {
  Found found;
  try {
    queue::test::World world(directory);
    {
      auto db = disk::open_read_only(directory / "queue.db").value();
      auto rows = db.prepare("PRAGMA integrity_check");
      while (rows.step())
        if (rows.text(0) != "ok") found.add("integrity_check: " + std::string(rows.text(0)));
    }
    found.hold(world, "drafts", "draft");
    found.hold(world, "chunks of nothing",
               "chunk WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = chunk.id >> 15)");
    found.hold(world, "recipients of nothing",
               "recipient WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = recipient.id >> 15)");
    auto reader = world.reader();
    std::int64_t least_notices = 0;
    std::int64_t most_notices = 0;
    for (const auto& [id, fate] : ledger.messages) {
      verify_message(found, reader, id, fate);
      least_notices += fate.bounced && fate.settled;
      most_notices += fate.bounced;
    }
    std::int64_t notices = 0;
    for (const auto& message : world.list()) {
      notices += message.envelope.kind == Kind::notice;
      if (message.envelope.kind != Kind::notice && !ledger.messages.contains(message.id.value))
        found.add("a message that nobody sent");
    }
    if (notices < least_notices || notices > most_notices)
      found.add(std::to_string(notices) + " notices instead of " + std::to_string(least_notices) + " to " +
                std::to_string(most_notices));
    // It works: mail is taken, and what waits can be sent.
    world.put({"c@three.test"}, "Subject: 21\r\n\r\n123456\r\n");
    if (world.lease("three.test", queue::test::at(9000)).size() != 1) found.add("new mail is not leased");
  } catch (const std::exception& error) {
    found.add(std::string("the next start fails: ") + error.what());
  }
  return found.wrong;
}

}  // namespace hoplock::faults
