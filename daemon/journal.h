// SPDX-License-Identifier: Apache-2.0
// The journal's priorities: what is written to its stream begins with "<4>" and the like (sd-daemon(3)), so that
// `journalctl -p warning` shows warnings. Only where standard error is that stream (JOURNAL_STREAM), never in a file or on a terminal.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/log.h"

namespace hoplock::daemon {

// Whether this descriptor is the stream that the service manager connected to the journal.
bool is_journal(int descriptor);
// The same from given values, as JOURNAL_STREAM has them ("DEVICE:INODE"), for is_journal and its test.
bool names_stream(std::string_view journal_stream, std::uint64_t device, std::uint64_t inode);
// "<3>" … "<7>"
std::string_view priority(Level level);
// For a word on standard error beside the log: the priority where it goes to the journal, else nothing.
std::string_view stderr_priority(Level level);

}  // namespace hoplock::daemon
