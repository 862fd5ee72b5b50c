# SPDX-License-Identifier: Apache-2.0
"""The status page in a real browser (chromium, where it is installed): at three sizes, light and dark, with hostile content in all that
a page shows; what a refresh keeps, keyboard, print, and life without JavaScript."""

import os
import time
import unittest
import urllib.parse

from case import Case, Domain, Host, Stage
from world import browser
from world.relay import Relay

PORT = 9475
SITE = f"http://127.0.0.1:{PORT}"
EVIL = '<script>document.title="taken"</script><img src=x onerror=alert(1)>\u202e evil \u2067 &amp; "\''
WORD = "W" * 10_000
WIDTHS = (360, 768, 1440)
OPEN = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
REFRESH = "document.dispatchEvent(new Event('visibilitychange'))"  # as when the reader comes back to the tab

DOMAINS = [
    Domain("good.test", "DANE that holds", hosts=(Host(tlsa=("3 1 1",)),)),
    Domain("wrong.test", "TLSA that does not match", hosts=(Host(tlsa=("3 1 1 wrong",)),)),
    Domain("evil.test", "a reply that is markup", hosts=(Host(smtp={"rcpt": {"user": "451 4.7.1 " + EVIL}}),)),
    Domain("long.test", "a reply that is one long word", hosts=(Host(smtp={"rcpt": {"user": "451 4.7.1 " + WORD[:900]}}),)),
    Domain("endless.test", "a reply of 10,000 characters", hosts=(Host(smtp={"rcpt": {"user": "451 4.7.1 " + WORD}}),)),
    Domain("banner.test", "a banner that is markup, and no mail", hosts=(Host(smtp={"banner": "421 4.3.2 " + EVIL}),)),
    Domain("own.test", "behind a next hop of our own that is not there", mx=(), send=False),
    Domain("w" * 60 + "." + "x" * 60 + ".test", "a name as long as names may be", hosts=(Host(smtp={"rcpt": {"user": "451 4.7.1 later"}}),)),
]
LONG_NAME = DOMAINS[-1].name
RECIPIENTS = ["user@own.test", "u" * 64 + "@evil.test"]


def SETTINGS(world):  # pylint: disable=invalid-name,unused-argument
    return {"http": {"address": f"127.0.0.1:{PORT}"}, "delivery": {"retry": {"first": "1h"}},
            "routes": [{"match": ["own.test"], "hosts": ["[127.0.0.1]:9"], "note": EVIL}]}


@unittest.skipUnless(browser.is_installed(), "chromium is not installed: scripts/deps browser")
class InBrowser(Case):
    @classmethod
    def setUpClass(cls):
        for recipient in [f"user@{domain.name}" for domain in DOMAINS if domain.send] + RECIPIENTS:
            Stage.relay.outcome(recipient)
        cls.browser = browser.Browser().__enter__()
        with cls.browser.page() as page:
            end = time.monotonic() + 60
            while "127.0.0.1" not in page.open(SITE + "/").run("document.querySelector('.waits')?.innerText || ''"):  # the survey's pace
                assert time.monotonic() < end, "the page never showed what waits"
                time.sleep(1)

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()

    def id_of(self, recipient):
        return self.relay.outcome(recipient)["id"]

    def paths(self):
        sought = urllib.parse.quote("user@evil.test")
        return ["/", "/domain/evil.test", "/domain/good.test", f"/domain/{LONG_NAME}", "/domain/own.test", "/find?q=" + sought, "/find"] + [
            f"/message/{self.id_of(recipient)}" for recipient in
            ("user@good.test", "user@evil.test", "user@long.test", "user@endless.test", "user@banner.test", "user@wrong.test", RECIPIENTS[1])]

    def look(self, page, path):
        """What is wrong with it, in words."""
        page.open(SITE + path).run(OPEN)
        wrong = [f"console: {text}" for text in page.complaints()]
        wrong += [f"cut: {one}" for one in page.run(browser.CUT)]
        measured = page.run(browser.OVERFLOW)
        if measured["content"] > measured["screen"]:
            wrong.append(f"wider than the screen: {measured}")
        contrast = page.run(browser.CONTRAST)
        self.assertGreater(contrast["texts"], 5, path)
        wrong += [f"contrast: {one}" for one in contrast["low"]]
        if page.run("document.querySelectorAll('img, script:not([src]), [onerror], [style]').length") or "taken" == page.run("document.title"):
            wrong.append("what somebody said became markup")
        return wrong

    def test_each_page_at_each_size_light_and_dark_is_whole_whatever_servers_say(self):
        pictures = os.environ.get("HOPLOCK_PICTURES")  # a folder, for eyes
        wrong = []
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                with self.browser.page(width, scheme) as page:
                    for path in self.paths():
                        wrong += [f"{path} at {width} px, {scheme}: {one}" for one in self.look(page, path)]
                        if pictures:
                            page.picture(os.path.join(pictures, f"{path.strip('/').replace('/', '-')[:40] or 'front'}-{width}-{scheme}.png"))
        self.assertEqual(wrong, [])

    def test_the_front_says_which_next_hop_of_our_own_takes_nothing_and_the_tab_shows_it(self):
        with self.browser.page() as page:
            page.open(SITE + "/")
            self.assertRegex(page.run("document.querySelector('h1').innerText"), r"^(\d+ messages? waits?|Mail for \d+ recipients? waits) behind \[127\.0\.0\.1\]:9, refused since \d\d:\d\d UTC$")
            self.assertRegex(page.run("document.title"), "^\u2717 .* behind ")
            self.assertEqual(page.run("document.querySelector('link[rel=icon]').getAttribute('href')"), "/icon/bad.svg")
            self.assertEqual(page.run("fetch('/icon/bad.svg').then((answer) => answer.headers.get('content-type'))"), "image/svg+xml")

    def test_a_refresh_keeps_what_is_open_the_focus_and_the_place(self):
        with self.browser.page(360) as page:
            page.open(SITE + "/")
            page.run("document.querySelector('.waits details').open = true; document.querySelector('.waits summary').focus(); "
                     "document.querySelector('.waits summary').scrollIntoView({ behavior: 'instant' }); document.querySelector('[data-part=waiting]').mark = 'old'")
            place = page.run("document.querySelector('.waits summary').getBoundingClientRect().top")
            self.relay.send("user@own.test")  # so that the part is another one
            page.until(f"{REFRESH}, document.querySelector('[data-part=waiting]').mark !== 'old'", 90)
            self.assertTrue(page.run("document.querySelector('.waits details').open"))
            self.assertTrue(page.run("document.activeElement === document.querySelector('.waits summary')"))
            self.assertAlmostEqual(page.run("document.querySelector('.waits summary').getBoundingClientRect().top"), place, delta=40)
            self.assertEqual(page.complaints(), [])

    def test_a_part_that_comes_or_goes_takes_no_other_with_it(self):
        settings = {"http": {"address": "127.0.0.1:9477"}, "delivery": {"retry": {"first": "1h"}}}
        with Relay(self.world, Stage.build, settings, "empty", 2538) as relay, self.browser.page() as page:
            page.open("http://127.0.0.1:9477/")
            self.assertFalse(page.run("!!document.querySelector('[data-part=queue]')"))
            page.run("document.querySelector('[data-part=policies]').mark = 'mine'")
            waiting = relay.send("user@wrong.test")
            page.until(f"{REFRESH}, !!document.querySelector('[data-part=queue]')", 90)
            self.assertEqual(page.run("document.querySelector('[data-part=policies]').mark"), "mine")
            self.assertEqual(relay.tool("queue", "remove", waiting)[0], 0)
            page.until(f"{REFRESH}, !document.querySelector('[data-part=queue]')", 90)
            self.assertEqual(page.run("document.querySelector('[data-part=policies]').mark"), "mine")
            order = "[...document.querySelectorAll('[data-part]')].map((one) => one.dataset.part).join()"
            self.assertEqual(page.run(order), "verdict,figures,pictures,waiting,hour,policies,reports,process,foot")
            self.assertEqual(page.complaints(), [])

    def test_a_page_that_gets_no_answer_says_so_until_it_does(self):
        relay = Relay(self.world, Stage.build, {"http": {"address": "127.0.0.1:9476"}}, "absent", 2535).start()
        with self.browser.page() as page:
            page.open("http://127.0.0.1:9476/")
            self.assertEqual(relay.stop(), 0)
            page.run(REFRESH)
            page.until("document.getElementById('live').innerText.startsWith('Not up to date since ')")
            self.assertTrue(page.run("document.title.startsWith('? ')"))
            with relay:
                page.until(f"{REFRESH}, document.getElementById('live').innerText === ''")
                self.assertFalse(page.run("document.title.startsWith('? ')"))

    def test_search_and_pages_work_without_javascript(self):
        with self.browser.page(script=False) as page:
            page.open(SITE + "/")
            document = page.call("DOM.getDocument")["root"]["nodeId"]
            field = page.call("DOM.querySelector", nodeId=document, selector="#q")["nodeId"]
            page.call("DOM.focus", nodeId=field)
            page.call("Input.insertText", text=self.id_of("user@good.test")[:9])
            self.browser.events.clear()
            page.press("Enter", 13, "\r")
            self.browser.wait("Page.loadEventFired", page.session)
            tree = page.call("Page.getFrameTree")["frameTree"]["frame"]
            self.assertEqual(tree["url"], f"{SITE}/message/{self.id_of('user@good.test')}")

    def test_all_of_it_can_be_reached_with_the_keyboard(self):
        with self.browser.page() as page:
            page.open(SITE + "/")
            reached = []
            for _ in range(12):
                page.press("Tab", 9)
                reached.append(page.run("document.activeElement.className || document.activeElement.id || document.activeElement.tagName"))
                if "SUMMARY" in reached:
                    break
            self.assertEqual(reached[:3], ["skip", "home", "q"])
            self.assertIn("SUMMARY", reached)
            self.assertTrue(page.run("getComputedStyle(document.activeElement).outlineStyle !== 'none'"))
            page.press("Enter", 13, "\r")
            self.assertTrue(page.run("document.activeElement.parentElement.open"))

    def test_printed_it_shows_what_is_folded_and_no_field_to_search_with(self):
        with self.browser.page() as page:
            page.open(SITE + "/")
            page.call("Emulation.setEmulatedMedia", media="print")
            self.assertEqual(page.run("getComputedStyle(document.querySelector('header form')).display"), "none")
            self.assertTrue(page.run("document.querySelector('.waits .inside').checkVisibility({ contentVisibilityAuto: true })"))


if __name__ == "__main__":
    unittest.main()
