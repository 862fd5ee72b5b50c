# SPDX-License-Identifier: Apache-2.0
"""DANE: aliases of hosts and of TLSA names, base domains, SNI, ports and routes."""

from case import Case, Domain, Host

WRONG = "3 1 1 wrong"

DOMAINS = [
    Domain("d23.test", "TLSA at the middle of an alias chain", ("10 a",), (Host("c", (f"_25._tcp.b: {WRONG}",)),),
           ("a CNAME b", "b CNAME c")),
    Domain("d26b.test", "MX alias, TLSA at its end", hosts=(Host("host", ("3 1 1",)),), records=("mx CNAME host",)),
    Domain("d26a.test", "MX alias, TLSA at its start", hosts=(Host("host", ("_25._tcp.mx: 3 1 1",)),), records=("mx CNAME host",)),
    Domain("d27.test", "TLSA at both, the first is wrong", hosts=(Host("host", ("3 1 1", f"_25._tcp.mx: {WRONG}")),),
           records=("mx CNAME host",)),
    Domain("d28wrong.test", "signed alias into an unsigned zone, TLSA wrong", tlsa=(f"_25._tcp.mx: {WRONG}",),
           records=("mx CNAME x.d28host.lab.",)),
    Domain("d28right.test", "signed alias into an unsigned zone, TLSA right", tlsa=("_25._tcp.mx: 3 1 1 of:y.d28host.lab",),
           records=("mx CNAME y.d28host.lab.",)),
    Domain("d28host.lab", "", (), (Host("x"), Host("y")), signed=False, send=False),
    Domain("d28u.test", "unsigned alias into a signed zone", ("10 mx.d28alias.lab.",)),
    Domain("d28alias.lab", "", (), records=("mx CNAME x.d28end.test.",), signed=False, send=False),
    Domain("d28end.test", "", (), (Host("x", (WRONG,)),), send=False),
    Domain("d29.test", "SERVFAIL at the end of the alias, TLSA at its start", hosts=(Host("host", ("_25._tcp.mx: 3 1 1", "3 1 1")),),
           records=("mx CNAME host",), lies={"_25._tcp.host TLSA": "servfail"}),
    Domain("d30.test", "TLSA is an alias", hosts=(Host(cert={"names": ("mx.d30.test",)}),),
           records=("_25._tcp.mx CNAME _t._dane.d30ca.test.",)),
    Domain("d30ca.test", "", (), tlsa=("_t._dane: 2 0 1 of:mx.d30.test",), send=False),
    Domain("d30i.test", "TLSA alias into an unsigned zone", hosts=(Host("host", ("_25._tcp.mx: 3 1 1",)),),
           records=("mx CNAME host", "_25._tcp.host CNAME _t.d30ins.lab.")),
    Domain("d30ins.lab", "", (), tlsa=(f"_t: {WRONG}",), signed=False, send=False),
    Domain("d31two.test", "two addresses, mismatch", hosts=(Host(tlsa=(WRONG,), addresses=2),)),
    Domain("d31good.test", "two addresses, match", hosts=(Host(tlsa=("3 1 1",), addresses=2),)),
    Domain("d31port.test", "a route to port 587", (), (Host("relay", ("3 1 1", f"_25._tcp.relay: {WRONG}"), port=587),), send=False),
    Domain("d33host.test", "hosts of routes", (), (
        Host("good", ("2 0 1",)), Host("bad", ("2 0 1",), {"names": ("d33bad.example",)}),
        Host("literal", (WRONG,), ip=["127.2.0.33"]), Host("alias-end", ("2 0 1",), {"names": ("alias.d33host.test",)})),
           ("alias CNAME alias-end",), send=False),
]
RECIPIENTS = ["user@d31port.example", "user@d33good.example", "user@d33bad.example", "user@d33literal.example",
              "user@d33alias.example"]
SETTINGS = {"routes": [
    {"match": ["d31port.example"], "hosts": ["relay.d31port.test:587"], "tls": "dane"},
    {"match": ["d33good.example"], "hosts": ["good.d33host.test"], "tls": "dane"},
    {"match": ["d33bad.example"], "hosts": ["bad.d33host.test"], "tls": "dane"},
    {"match": ["d33alias.example"], "hosts": ["alias.d33host.test"], "tls": "dane"},
    {"match": ["d33literal.example"], "hosts": ["[127.2.0.33]"], "tls": "dane"},
]}


class DaneAlias(Case):
    def test_DANE_23_names_in_the_middle_of_an_alias_chain_are_no_base_domain(self):
        self.delivered("d23.test", policy="opportunistic", auth="none", tls="TLSv1.3")
        self.assertEqual(self.tlsa_queries("b.d23.test"), [])

    def test_DANE_26_TLS_03_sni_is_the_base_domain(self):
        self.delivered("d26b.test", policy="dane", auth="dane-ee", sni="host.d26b.test")
        self.delivered("d26a.test", policy="dane", auth="dane-ee", sni="mx.d26a.test")
        self.assertEqual(self.sessions("host.d26b.test")[0].sni, "host.d26b.test")
        self.assertEqual(self.sessions("host.d26a.test")[0].sni, "mx.d26a.test")

    def test_DANE_27_the_expanded_name_comes_first_then_the_initial_one(self):
        self.delivered("d27.test", policy="dane", auth="dane-ee", sni="host.d27.test")
        self.delivered("d26a.test", policy="dane", auth="dane-ee", sni="mx.d26a.test")

    def test_DANE_28_a_secure_alias_into_an_unsigned_zone_still_binds(self):
        self.deferred("d28wrong.test", "tlsa-invalid", "4.7.323")
        self.no_mail_command("x.d28host.lab")
        self.delivered("d28right.test", policy="dane", auth="dane-ee", sni="mx.d28right.test")
        self.assertEqual(self.tlsa_queries("y.d28host.lab"), [])

    def test_DANE_28_an_insecure_first_alias_means_no_dane(self):
        self.delivered("d28u.test", policy="opportunistic", auth="none")
        self.assertEqual(self.tlsa_queries("mx.d28alias.lab"), [])

    def test_DANE_29_an_error_at_the_first_candidate_skips_the_host(self):
        self.deferred("d29.test", "dnssec-invalid", "4.7.324")
        self.untouched("host.d29.test")

    def test_DANE_30_a_tlsa_alias_is_followed_and_changes_no_name(self):
        self.delivered("d30.test", policy="dane", auth="dane-ta", sni="mx.d30.test")
        self.delivered("d30i.test", policy="dane", auth="dane-ee", sni="mx.d30i.test")

    def test_DANE_31_the_port_is_part_of_the_tlsa_name_and_all_addresses_share_the_records(self):
        self.delivered("d31port.example", policy="dane", auth="dane-ee", mx="relay.d31port.test")
        self.assertTrue(self.tlsa_queries("relay.d31port.test", 587))
        self.assertEqual(self.tlsa_queries("relay.d31port.test", 25), [])
        self.deferred("d31two.test", "tlsa-invalid")
        self.no_mail_command("mx.d31two.test")
        self.delivered("d31good.test", policy="dane", auth="dane-ee")

    def test_DANE_33_MX_16_a_routes_host_is_its_own_base_and_recipient_domains_are_not_asked_for(self):
        self.delivered("d33good.example", policy="dane", auth="dane-ta", sni="good.d33host.test")
        self.deferred("d33bad.example", "certificate-host-mismatch", "4.7.325")
        self.no_mail_command("bad.d33host.test")
        asked = {query.name for query in self.world.wire.queries()}
        self.assertFalse([name for name in asked if name.endswith("example.")], "a recipient domain of a route was looked up")

    def test_DANE_22_DANE_33_a_routes_host_that_is_an_alias_may_be_named_as_configured(self):
        self.delivered("d33alias.example", policy="dane", auth="dane-ta", sni="alias-end.d33host.test")

    def test_DANE_33_TLS_03_an_address_literal_gets_no_dane_and_no_sni(self):
        line = self.delivered("d33literal.example", auth="none", tls="TLSv1.3")
        self.assertFalse(line.get("sni"))
        self.assertIsNone(self.sessions("literal.d33host.test")[0].sni)
        self.assertEqual(self.tlsa_queries("literal.d33host.test"), [])
