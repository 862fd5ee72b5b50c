// SPDX-License-Identifier: Apache-2.0
#include "dane/digest.h"

#include <doctest/doctest.h>

#include "base/ascii.h"

namespace dane_digest_test {

using namespace hoplock;

TEST_CASE("association_data: the octets, their SHA-256 and SHA-512; nothing for a matching type that nobody knows") {
  const std::string of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(to_hex(dane::sha256("abc")) == of_abc);
  CHECK(dane::association_data(0, "abc") == "abc");
  CHECK(to_hex(dane::association_data(1, "abc").value()) == of_abc);
  const std::string long_one = to_hex(dane::association_data(2, "abc").value());
  CHECK(long_one.size() == 128);
  CHECK(long_one.starts_with("ddaf35a193617abacc417349ae204131"));
  CHECK_FALSE(dane::association_data(3, "abc"));
  CHECK_FALSE(dane::association_data(255, "abc"));
}

}  // namespace dane_digest_test
