// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <boost/system/system_error.hpp>

namespace hoplock {

void throw_exception_from_error(const Error& error, const boost::source_location& /*where*/) {
  throw boost::system::system_error(error.code, error.detail);
}

}  // namespace hoplock
