// SPDX-License-Identifier: Apache-2.0
#include "dkim/author.h"

#include <doctest/doctest.h>

namespace dkim_author_test {

using namespace hoplock;

TEST_CASE("DKIM-08: the From field's domain is found in every form that RFC 5322 allows, as A-labels") {
  struct Row {
    const char* from;
    const char* domain;  // "" : none
    const char* why;
  };
  const Row rows[] = {
      {"ann@example.net", "example.net", "a bare address"},
      {" Ann <ann@example.net>\r\n", "example.net", "with a name"},
      {"<ann@example.net>", "example.net", "in brackets only"},
      {"\"Ann, the \\\"first\\\" <x@y.example>\" <ann@example.net>", "example.net", "what is quoted is no address"},
      {"Ann (of x@y.example, (nested \\) ) still) <ann@example.net> (later)", "example.net", "nor are comments"},
      {"ann@example.net (Ann)", "example.net", "the old form of a name"},
      {"\"a@b\"@example.net", "example.net", "a quoted local-part with an at sign"},
      {"a\r\n @\r\n example\r\n .net", "example.net", "blanks between the atoms"},
      {"A: a@example.net, b@example.net;", "example.net", "a group"},
      {"undisclosed:;", "", "an empty group"},
      {"a@example.net, b@EXAMPLE.NET.", "example.net", "two of one domain"},
      {",a@example.net,,", "example.net", "empty members, as old programs write them"},
      {"<@relay.example,@other.example:a@example.net>", "example.net", "an obsolete source route"},
      {"Jos\xc3\xa9 <a@b\xc3\xbc"
       "cher.example>",
       "xn--bcher-kva.example", "U-labels"},
      {"a@example.net, b@example.org", "", "two domains"},
      {"a@example.net, nobody", "", "one without a domain"},
      {"nobody", "", "no domain"},
      {"", "", "empty"},
      {"Ann <>", "", "no address"},
      {"Ann <ann@example.net", "", "never closed"},
      {"ann@example.net>", "", "never opened"},
      {"<ann@example.net> eve@evil.example", "", "words behind the address"},
      {"<ann@example.net> <eve@evil.example>", "", "two addresses without a comma"},
      {"<<ann@example.net>>", "", "brackets in brackets"},
      {"\"ann <ann@example.net>", "", "a quote never closed"},
      {"(ann ann@example.net", "", "a comment never closed"},
      {"ann@[192.0.2.1]", "", "an address literal has no key"},
      {"ann@", "", "an empty domain"},
      {"ann@.", "", "the root"},
      {"ann@ex\"am\"ple.net", "", "quotes in a domain"},
      {"a@b@example.net", "example.net", "the last at sign counts"},
      {"x@y.example <ann@example.net>", "example.net", "an unquoted address as a name, as some programs write"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.from);
    CAPTURE(row.why);
    const auto domain = dkim::author_domain(row.from);
    CHECK((domain ? domain->text() : "") == row.domain);
  }
}

}  // namespace dkim_author_test
