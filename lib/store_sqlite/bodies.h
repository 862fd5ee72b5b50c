// SPDX-License-Identifier: Apache-2.0
// How the bodies go of messages that go.
#pragma once
#include <cstdint>

namespace hoplock::store_sqlite {

// along: with the message. apart: a page under some body is damaged, and SQLite gives up every transaction that met it; so the chunks
// stay for now, noted as those of a draft are, and each message's go in jobs of their own (or cannot, and keep nobody else).
enum class Bodies : std::uint8_t { along, apart };

}  // namespace hoplock::store_sqlite
