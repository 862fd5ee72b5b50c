// SPDX-License-Identifier: Apache-2.0
// The compiled half of Boost.JSON, in one unit.
#include <boost/json/src.hpp>
