// SPDX-License-Identifier: Apache-2.0
// What a PostgreSQL server answers, as Errors that callers branch on. `Error::code` of an answer keeps the SQLSTATE and compares with errc:
//
//   no_space_on_device              53100
//   read_only_file_system           25006: a standby, or a primary that lets nothing be written
//   io_error                        58xxx
//   device_or_resource_busy         unreachable, starting or stopping, too many connections, a lock that was waited for too long (08, 53, 55, 57)
//   bad_message                     damaged (XX001, XX002), or an assertion in SQL that does not hold (22012: a division by zero)
//   resource_unavailable_try_again  40001, 40P01: the same again
//   permission_denied               wrong password, or a role without the right (28, 42501), or no such database (3D000)
//   not_supported                   the server or the schema is of another version
//   owner_dead                      fenced: this incarnation is dead, what it leased is not ours any more
//   timed_out                       the outcome is unknown, or was when the caller's deadline passed
//   state_not_recoverable           anything else: a constraint (23xxx), a bug in SQL
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::postgres {

// The Error of a five-character SQLSTATE; `detail` is for people.
Error sql_error(std::string_view sqlstate, std::string detail);
// "" where the server answered none: our own errors, and a connection that was lost.
std::string sqlstate(const Error& error);
bool has_sqlstate(const Error& error, std::string_view sqlstate);

// The server is away or cannot be written now: ask again. As store::is_unavailable.
bool is_unavailable(const Error& error);

}  // namespace hoplock::postgres
