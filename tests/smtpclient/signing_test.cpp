// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/signing.h"

#include <doctest/doctest.h>

#include "tests/smtpclient/keys.h"
#include "tests/smtpclient/world.h"

namespace smtpclient_signing_test {

using namespace hoplock;
using namespace hoplock::smtpclient;
using namespace hoplock::smtpclient::testing;

namespace {

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

}  // namespace smtpclient_signing_test
