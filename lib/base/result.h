// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or the reason why it could not be found out. Absence, insecurity, refusal and an SMTP 5xx are
// values of their modules, never an Error. `code` is for callers that branch, `detail` is one sentence for people.
#pragma once
#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <ostream>
#include <string>
#include <utility>

namespace hoplock {

using boost::system::error_code;
namespace errc = boost::system::errc;

struct Error {
  error_code code;
  std::string detail;
};
inline std::ostream& operator<<(std::ostream& out, const Error& error) { return out << error.detail; }

template <class T = void>
using Result = boost::system::result<T, Error>;

// An Error with a portable code; bad foreign input is errc::invalid_argument unless a caller branches on more.
inline Error fail(errc::errc_t code, std::string detail) {
  return Error{errc::make_error_code(code), std::move(detail)};
}
inline Error fail(error_code code, std::string detail) { return Error{code, std::move(detail)}; }
inline Error bad_input(std::string detail) { return fail(errc::invalid_argument, std::move(detail)); }

// What Result::value() throws: std::system_error style, with `detail` in what().
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

}  // namespace hoplock
