// SPDX-License-Identifier: Apache-2.0
// The compiled halves of the header libraries, in one unit.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
