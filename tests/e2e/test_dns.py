# SPDX-License-Identifier: Apache-2.0
"""DNS: security states, failures of validation itself, aliases, and what is asked of whom."""

import hashlib

from case import Case, Domain, Host, Stage
from world.liar import Forwarder
from world.relay import Relay

MANY = tuple(f"3 1 2 hex:{hashlib.sha512(bytes([i])).hexdigest()}" for i in range(40)) + ("3 1 2",)
WRONG_ANCHOR = f". IN DS 4711 13 2 {hashlib.sha256(b'nobody').hexdigest()}\n"

DOMAINS = [
    Domain("n01.test", "secure, DANE", hosts=(Host(tlsa=("3 1 1",)),)),
    Domain("n01.lab", "insecure", hosts=(Host(),), signed=False),
    Domain("n01bogus.test", "host's A bogus", hosts=(Host(),), spoil=("mx A",), send=False),
    Domain("n01failed.test", "host's A and AAAA fail", hosts=(Host(),), lies={"mx A": "servfail", "mx AAAA": "servfail"}, send=False),
    Domain("n01mx.test", "MX bogus", hosts=(Host(),), spoil=("@ MX",), send=False),
    Domain("n02.optout", "signed, below another top", hosts=(Host(),), send=False),
    Domain("n02.test", "signed, below the anchor", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("n02key.test", "DNSKEY unreachable", hosts=(Host(),), lies={"@ DNSKEY": "silent"}),
    Domain("n03.test", "forged by the forwarder", hosts=(Host(),), send=False),
    Domain("n03ok.test", "honest through the forwarder", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("n03evil.lab", "", (), (Host(),), signed=False, send=False),
    Domain("n04.lab", "", hosts=(Host(),), signed=False, send=False),
    Domain("n04.test", "", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("n05.test", "a TLSA answer of 3 KB", hosts=(Host(tlsa=MANY),)),
    Domain("n07.test", "TLSA: secure NODATA", hosts=(Host(),), records=('_25._tcp.mx TXT "nothing here"',)),
    Domain("n07nx.test", "TLSA: secure NXDOMAIN", hosts=(Host(),)),
    Domain("n07ins.test", "TLSA: insecure NXDOMAIN", hosts=(Host(),)),
    Domain("_tcp.mx.n07ins.test", "", (), signed=False, send=False),
    Domain("n08.optout", "covered by opt-out only", hosts=(Host(),), signed=False),
    Domain("n08.test", "NSEC3 with 500 iterations", (), (Host("host", ("3 1 1",)),), nsec3="-n -t 500", send=False),
    Domain("n08nsec3.test", "NSEC3 as it should be", (), (Host("host", ("3 1 1",)),), nsec3="-n -t 0", send=False),
    Domain("n09.test", "DS with an unassigned algorithm", hosts=(Host(),), ds="algorithm"),
    Domain("n09digest.test", "DS with an unassigned digest", hosts=(Host(),), ds="digest"),
    Domain("n09wrong.test", "DS of another key", hosts=(Host(),), ds="wrong"),
    Domain("n10.test", "alias secure, insecure, secure", (), (Host(),),
           ("alias CNAME link.n10.lab.", "end MX 10 mx", "broken CNAME link.n10bogus.test."), send=False),
    Domain("n10.lab", "", (), records=("link CNAME end.n10.test.",), signed=False, send=False),
    Domain("n10bogus.test", "", (), records=("link CNAME end.n10.test.",), spoil=("link CNAME",), send=False),
    Domain("n11.test", "signed alias into an unsigned zone", tlsa=("_25._tcp.mx: 3 1 1 of:x.n11host.lab",),
           records=("mx CNAME x.n11host.lab.",)),
    Domain("n11host.lab", "", (), (Host("x"),), signed=False, send=False),
    Domain("n12.test", "MX below a DNAME", ("10 mx.old",), (Host("mx.new", ("3 1 1",)),), ("old DNAME new.n12.test.",)),
    Domain("n13.test", "13 aliases", ("10 c0",), (Host("c13"),), tuple(f"c{i} CNAME c{i + 1}" for i in range(13))),
    Domain("n13dozen.test", "12 aliases", ("10 c0",), (Host("c12", ("3 1 1",)),), tuple(f"c{i} CNAME c{i + 1}" for i in range(12))),
    Domain("n13loop.test", "an alias loop", ("10 a",), (), ("a CNAME b", "b CNAME a")),
    Domain("n13five.test", "5 aliases", ("10 c0",), (Host("c5", ("3 1 1",)),), tuple(f"c{i} CNAME c{i + 1}" for i in range(5))),
    Domain("n15.test", "MX host of one label", ("10 mail.",), (Host("@"), Host("mail"))),
    Domain("n15case.test", "capitals everywhere", ("10 MX.N15Case.TEST.",), (Host(tlsa=("3 1 1",)),), send=False),
    Domain("evil.test", "what a search list would reach", ("10 mail",), (Host("mail"),), send=False),
    Domain("n16.test", "A secure, AAAA bogus", hosts=(Host(tlsa=("3 1 1",), aaaa=("fd00:16::1",)),), spoil=("mx AAAA",)),
    Domain("n16fail.test", "A secure, AAAA SERVFAIL", hosts=(Host(tlsa=("3 1 1",)),), lies={"mx AAAA": "servfail"}),
    Domain("n16four.test", "A bogus, AAAA secure", hosts=(Host(tlsa=("3 1 1",), aaaa=("fd00:16::2",)),), spoil=("mx A",)),
    Domain("n16none.test", "A SERVFAIL, AAAA nodata", hosts=(Host(),), lies={"mx A": "servfail"}),
]
RECIPIENTS = ["user@alias.n10.test", "user@broken.n10.test", "user@host.n08.test", "user@host.n08nsec3.test",
              "user@N15Case.Test"]


def no_validator(world):
    with open(world.path("unbound.conf"), encoding="ascii") as file:
        return world.write("unbound-iterator.conf", file.read() + '    module-config: "iterator"\n')


class Dns(Case):
    def test_DNS_01_every_state_reaches_the_decision(self):
        self.delivered("n01.test", mx_dnssec="secure", policy="dane")
        self.delivered("n01.lab", mx_dnssec="insecure", policy="opportunistic")
        for domain, state, verdict in (("n01.test", "secure", "dane"), ("n01.lab", "insecure", "opportunistic"),
                                       ("n01bogus.test", "bogus", "fail"), ("n01failed.test", "failed", "fail")):
            with self.subTest(domain):
                code, found = self.relay.tool("check", domain)
                self.assertEqual((found["mx"][0]["dnssec"], found["verdict"], code), (state, verdict, verdict == "fail"))
        code, found = self.relay.tool("check", "n01mx.test", "--no-connect")
        self.assertEqual((code, found["verdict"]), (1, "fail"))

    def test_DNS_02_unreachable_keys_under_a_signed_parent_are_an_error(self):
        self.deferred("n02key.test", ("dnssec-invalid", "dns-failure"))
        self.untouched("mx.n02key.test")

    def test_DNS_05_queries_ask_for_signatures_and_a_large_answer_is_read_whole(self):
        self.delivered("n05.test", policy="dane", auth="dane-ee", tlsa="3 1 2")
        own = [query for query in self.world.wire.queries() if query.server != "127.0.0.77"]
        self.assertTrue(own)
        self.assertEqual([query for query in own if not query.do], [])
        self.assertTrue([query for query in self.tlsa_queries("mx.n05.test") if query.tcp])

    def test_DNS_07_each_kind_of_denial_means_no_tlsa(self):
        for domain in ("n07.test", "n07nx.test", "n07ins.test"):
            with self.subTest(domain):
                self.delivered(domain, policy="opportunistic", auth="none", tls="TLSv1.3")

    def test_DNS_08_opt_out_and_too_many_iterations_are_insecure(self):
        self.delivered("n08.optout", mx_dnssec="insecure", policy="opportunistic")
        self.delivered("host.n08.test", mx_dnssec="insecure", policy="opportunistic")
        self.assertEqual(self.relay.tool("check", "host.n08.test")[1]["verdict"], "opportunistic", "as it is delivered")
        self.delivered("host.n08nsec3.test", mx_dnssec="secure", policy="dane")

    def test_DNS_09_unknown_algorithms_mean_insecure_and_a_wrong_key_means_bogus(self):
        self.delivered("n09.test", mx_dnssec="insecure", policy="opportunistic")
        self.delivered("n09digest.test", mx_dnssec="insecure", policy="opportunistic")
        self.deferred("n09wrong.test", "dnssec-invalid", "4.7.324")
        self.untouched("mx.n09wrong.test")

    def test_DNS_10_an_alias_chain_is_as_secure_as_its_weakest_link(self):
        self.delivered("alias.n10.test", mx_dnssec="insecure")
        self.deferred("broken.n10.test", "dnssec-invalid", "4.7.324")

    def test_DNS_11_the_first_alias_of_an_insecure_chain_is_known_to_be_secure(self):
        # the question itself may be answered from the cache of the resolver in the process
        self.delivered("n11.test", policy="dane", auth="dane-ee", sni="mx.n11.test")

    def test_DNS_12_a_dname_is_followed_and_stays_secure(self):
        self.delivered("n12.test", policy="dane", auth="dane-ee", sni="mx.new.n12.test")

    def test_DNS_13_alias_chains_are_bounded(self):
        self.deferred("n13.test", "dns-failure", "4.4.3")
        self.untouched("c13.n13.test")
        self.deferred("n13loop.test", "dns-failure", "4.4.3")
        self.delivered("n13dozen.test", policy="dane", auth="dane-ee", sni="c12.n13dozen.test")
        self.delivered("n13five.test", policy="dane", auth="dane-ee", sni="c5.n13five.test")

    def test_DNS_15_DNS_03_names_are_absolute_and_resolv_conf_is_never_read(self):
        self.bounced("n15.test", "5.4.4")
        asked = {query.name for query in self.world.wire.queries()}
        self.assertIn("mail.", asked)
        self.assertNotIn("mail.n15.test.", asked)
        self.assertFalse([name for name in asked if name.endswith("evil.test.")])
        self.assertEqual(self.world.wire.queries(server="127.0.0.99"), [])
        self.delivered("user@n15case.test", policy="dane", auth="dane-ee", sni="mx.n15case.test")

    def test_DNS_16_address_families_are_judged_apart(self):
        ip = self.world.host("mx.n16.test").ip[0]
        self.delivered("n16.test", policy="dane", auth="dane-ee", ip=ip)
        self.assertEqual(self.world.wire.connections("fd00:16::1"), [])
        self.delivered("n16fail.test", policy="dane", auth="dane-ee")
        self.delivered("n16four.test", policy="dane", auth="dane-ee", ip="fd00:16::2")
        self.assertEqual(self.world.wire.connections(self.world.host("mx.n16four.test").ip[0]), [])
        self.deferred("n16none.test", "dns-failure", "4.4.3")
        self.untouched("mx.n16none.test")


class OtherResolvers(Case):
    """Relays beside the first one, each with another idea of DNS."""

    @classmethod
    def setUpClass(cls):
        world = Stage.world
        cls.forwarder = Forwarder("127.0.0.77", world.zones)
        cls.forwarder.tell("n03.test", "MX", {"MX": "10 mx.n03evil.lab."})
        settings = {
            "forward": {"dns": {"forward": ["127.0.0.77"]}},
            "island": {"dns": {"trust_anchor": world.write("test.key", world.zones.trust_anchor("test"))}},
            "anchor": {"dns": {"trust_anchor": world.write("wrong.key", WRONG_ANCHOR)}},
            "iterator": {"dns": {"unbound_conf": no_validator(world)}},
        }
        cls.relays = {}
        for port, (name, over) in enumerate(settings.items(), 2600):
            cls.relays[name] = Relay(world, Stage.build, over, name, port)
            cls.addClassCleanup(cls.relays[name].stop)
            cls.relays[name].start()

    def outcome_of(self, name, domain):
        relay = self.relays[name]
        relay.send(f"user@{domain}")
        return relay.outcome(f"user@{domain}")

    def test_DNS_02_a_name_outside_every_anchor_is_insecure(self):
        line = self.outcome_of("island", "n02.optout")
        self.assertEqual((line["event"], line["mx_dnssec"], line["policy"]), ("delivered", "insecure", "opportunistic"), line)
        line = self.outcome_of("island", "n02.test")
        self.assertEqual((line["event"], line["mx_dnssec"], line["policy"]), ("delivered", "secure", "dane"), line)

    def test_DNS_03_a_forwarders_ad_bit_is_not_believed(self):
        line = self.outcome_of("forward", "n03.test")
        self.assertEqual((line["event"], line["reason"]), ("deferred", "dnssec-invalid"), line)
        self.untouched("mx.n03evil.lab")
        line = self.outcome_of("forward", "n03ok.test")
        self.assertEqual((line["event"], line["policy"], line["mx_dnssec"]), ("delivered", "dane", "secure"), line)

    def test_DANE_38_what_was_found_under_other_resolver_files_counts_no_more_once_new_ones_are_taken_up(self):
        conf = self.world.write("opened.conf", 'server:\n  domain-insecure: "n03ok.test"\n')
        relay = Relay(self.world, Stage.build, {"dns": {"unbound_conf": conf}}, "opened", 2699)
        self.addCleanup(relay.stop)
        relay.start()
        relay.send("before@n03ok.test")
        line = relay.outcome("before@n03ok.test")
        self.assertEqual((line["event"], line["policy"]), ("delivered", "opportunistic"), line)
        self.world.write("opened.conf", "server:\n  verbosity: 0\n")
        self.assertEqual(relay.wait_log(30, event="dns-files-changed")["ok"], "true")
        relay.send("after@n03ok.test")
        line = relay.outcome("after@n03ok.test")
        self.assertEqual((line["event"], line["policy"], line.get("auth")), ("delivered", "dane", "dane-ee"), line)

    def test_DNS_05_a_forwarder_is_asked_with_rd_and_do(self):
        self.outcome_of("forward", "n01.test")
        asked = self.world.wire.queries(server="127.0.0.77")
        self.assertTrue(asked)
        self.assertEqual([query for query in asked if not (query.rd and query.do)], [])
        self.assertTrue([query for query in asked if not query.cd])

    def test_DNS_04_a_relay_whose_validation_does_not_work_defers_and_says_so(self):
        for name in ("anchor", "iterator"):
            for domain in ("n04.lab", "n04.test"):
                with self.subTest(relay=name, domain=domain):
                    line = self.outcome_of(name, domain)
                    self.assertEqual((line["event"], line["reason"], line["dsn"]), ("deferred", "dns-failure", "4.4.3"), line)
                    self.assertIn("our own DNSSEC validation does not work", line["reply"])  # dsn/explain.cpp goes by it
                    self.untouched(f"mx.{domain}")
