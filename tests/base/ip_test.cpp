// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <doctest/doctest.h>

namespace base_ip_test {

using namespace hoplock;

TEST_CASE("Ip: parsed, printed (RFC 5952), as a literal (RFC 5321), from octets") {
  CHECK(Ip::parse("192.0.2.1")->text() == "192.0.2.1");
  CHECK(Ip::parse("2001:DB8:0:0:0:0:0:1")->text() == "2001:db8::1");
  CHECK(Ip::parse("192.0.2.1")->literal() == "[192.0.2.1]");
  CHECK(Ip::parse("2001:db8::1")->literal() == "[IPv6:2001:db8::1]");
  CHECK(Ip::from_octets(Ip::parse("2001:db8::1")->octets()) == *Ip::parse("2001:db8::1"));
  CHECK(Ip::from_octets("\xc0\x01\x02\x03").text() == "192.1.2.3");
  for (const char* bad :
       {"", "192.0.2", "192.0.2.256", "192.0.2.01", "[192.0.2.1]", "::1%lo", "1", "::g", "192.0.2.1 ", "::1/128"}) {
    CAPTURE(bad);
    CHECK_FALSE(Ip::parse(bad).has_value());
  }
  CHECK_FALSE(Ip::parse(std::string_view("::1\0", 4)).has_value());
}

TEST_CASE("Ip: classes; an IPv4-mapped address counts as the IPv4 address in it") {
  struct Row {
    const char* ip;
    const char* classes;  // l loopback, u unspecified, k link-local, m multicast, p private
  };
  for (const Row& row : {Row{"127.0.0.1", "l"},
                         Row{"127.255.0.9", "l"},
                         Row{"::1", "l"},
                         Row{"::ffff:127.0.0.1", "l"},
                         Row{"0.0.0.0", "u"},
                         Row{"0.1.2.3", "u"},
                         Row{"::", "u"},
                         Row{"169.254.1.1", "k"},
                         Row{"fe80::1", "k"},
                         Row{"febf::1", "k"},
                         Row{"fec0::1", ""},
                         Row{"224.0.0.1", "m"},
                         Row{"239.255.255.255", "m"},
                         Row{"240.0.0.1", ""},
                         Row{"255.255.255.255", "m"},
                         Row{"ff02::1", "m"},
                         Row{"10.0.0.1", "p"},
                         Row{"172.16.0.1", "p"},
                         Row{"172.31.255.255", "p"},
                         Row{"172.32.0.1", ""},
                         Row{"192.168.0.1", "p"},
                         Row{"192.169.0.1", ""},
                         Row{"fc00::1", "p"},
                         Row{"fdff::1", "p"},
                         Row{"fe00::1", ""},
                         Row{"::ffff:10.0.0.1", "p"},
                         Row{"192.0.2.1", ""},
                         Row{"2001:db8::1", ""},
                         Row{"::2", ""}}) {
    CAPTURE(row.ip);
    const Ip ip = *Ip::parse(row.ip);
    std::string classes;
    if (ip.is_loopback()) classes += 'l';
    if (ip.is_unspecified()) classes += 'u';
    if (ip.is_link_local()) classes += 'k';
    if (ip.is_multicast()) classes += 'm';
    if (ip.is_private()) classes += 'p';
    CHECK(classes == row.classes);
  }
}

TEST_CASE("Ip: internal is what may lead into our own network, also wrapped in IPv6") {
  for (const char* inside : {"127.0.0.1",
                             "0.0.0.0",
                             "169.254.169.254",
                             "224.0.0.1",
                             "255.255.255.255",
                             "10.0.0.5",
                             "172.16.0.1",
                             "192.168.1.1",
                             "100.64.0.1",
                             "100.127.255.255",
                             "::1",
                             "::",
                             "fe80::1",
                             "ff02::1",
                             "fc00::1",
                             "fdff::1",
                             "fec0::1",
                             "::ffff:10.0.0.5",
                             "::ffff:100.64.0.1",
                             "::10.0.0.5",
                             "::127.0.0.1",
                             "::8.8.8.8",
                             "64:ff9b::10.0.0.5",
                             "64:ff9b::127.0.0.1",
                             "64:ff9b:1::8.8.8.8",
                             "2002:a00:5::1",
                             "2002:7f00:1::"}) {
    CAPTURE(inside);
    CHECK(Ip::parse(inside)->is_internal());
  }
  for (const char* outside :
       {"192.0.2.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "11.0.0.1", "2001:db8::1", "2a00::1",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b:2::1", "2002:808:808::1", "0:0:1::1"}) {
    CAPTURE(outside);
    CHECK_FALSE(Ip::parse(outside)->is_internal());
  }
}

TEST_CASE("Network: a prefix, or one address; host bits are an error that names the network") {
  CHECK(Network::parse("127.0.0.0/8")->contains(*Ip::parse("127.9.9.9")));
  CHECK_FALSE(Network::parse("127.0.0.0/8")->contains(*Ip::parse("128.0.0.1")));
  CHECK(Network::parse("127.0.0.0/8")->contains(*Ip::parse("::ffff:127.0.0.1")));
  CHECK(Network::parse("::1")->contains(*Ip::parse("::1")));
  CHECK_FALSE(Network::parse("::1")->contains(*Ip::parse("::2")));
  CHECK(Network::parse("0.0.0.0/0")->contains(*Ip::parse("203.0.113.9")));
  CHECK_FALSE(Network::parse("0.0.0.0/0")->contains(*Ip::parse("2001:db8::1")));
  CHECK(Network::parse("2001:db8::/33")->contains(*Ip::parse("2001:db8:7fff::1")));
  CHECK_FALSE(Network::parse("2001:db8::/33")->contains(*Ip::parse("2001:db8:8000::1")));
  CHECK(Network::parse("10.0.0.0/8")->text() == "10.0.0.0/8");
  CHECK(Network::parse("10.0.0.1/32")->text() == "10.0.0.1");
  const auto wrong = Network::parse("10.1.2.3/8");
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().detail.find("10.0.0.0/8") != std::string::npos);
  for (const char* bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/8/8", "10.0.0.0/-1"}) {
    CAPTURE(bad);
    CHECK_FALSE(Network::parse(bad).has_value());
  }
}

TEST_CASE("Network: an IPv4-mapped network is the IPv4 network in it") {
  CHECK(Network::parse("::ffff:10.0.0.0/104")->contains(*Ip::parse("10.1.2.3")));
  CHECK_FALSE(Network::parse("::ffff:10.0.0.0/104")->contains(*Ip::parse("11.1.2.3")));
  CHECK(Network::parse("::ffff:10.0.0.1")->contains(*Ip::parse("10.0.0.1")));
}

}  // namespace base_ip_test
