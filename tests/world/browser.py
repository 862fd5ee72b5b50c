# SPDX-License-Identifier: Apache-2.0
"""Debian's chromium without a window, driven by its own protocol (DevTools) over a pipe: pages at a size and in a colour scheme, what
went wrong in them, and measures that a test can hold: overflow, and the contrast of every text with what it stands on."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars",
         "--remote-debugging-pipe", "about:blank")

# Every text that is seen, with its colour and the first ground behind it that is not transparent: those below WCAG's ratio for AA.
CONTRAST = r"""(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = (c) => { const [r, g, b] = [...c].slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (element) => { for (let at = element; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  const low = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  for (let node; (node = walker.nextNode()); ) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("title, script, .unseen, .skip") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const color = parse(element.namespaceURI.endsWith("/svg") ? style.fill : style.color), a = light(color), b = light(ground(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), least = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700) ? 3 : 4.5;
    ++texts;
    if (ratio < least) low.set(`${element.tagName}.${element.getAttribute("class") || ""} ${style.color} ${ratio.toFixed(2)}`, node.data.trim().slice(0, 40));
  }
  return { texts, low: [...low] };
})()"""

# What is wider than the screen, by name.
OVERFLOW = r"""(() => {
  const root = document.documentElement, wide = [];
  if (root.scrollWidth > root.clientWidth)
    for (const one of document.body.querySelectorAll("*"))
      if (one.getBoundingClientRect().right > root.clientWidth + 1 && !one.closest(".unseen, .skip")) wide.push(`${one.tagName}.${one.getAttribute("class") || ""}`);
  return { wide: [...new Set(wide)].slice(0, 8), content: root.scrollWidth, screen: root.clientWidth };
})()"""

# Short words that a line's end cuts: names, times and headings of tables.
CUT = r"""[...document.querySelectorAll("td a, td time, th, td.n, .who, .why, .legend li, button")]
  .filter((one) => one.checkVisibility() && one.innerText.trim().length < 20 && [...one.getClientRects()].length > 1 || one.matches("td a, time") && one.innerText.length < 20 && one.offsetHeight > 40)
  .map((one) => `${one.tagName} ${one.innerText}`)"""


def is_installed():
    return shutil.which("chromium") is not None


class Browser:
    """One process; use it as a context."""

    def __init__(self, timeout=60):
        self.timeout, self.number, self.events = timeout, 0, []
        self.unread = b""

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="hoplock-browser-")
        to_read, self.write_end = os.pipe()
        self.read_end, to_write = os.pipe()

        def as_it_wants():  # it reads from descriptor 3 and writes to 4
            a, b = os.dup(to_read), os.dup(to_write)
            os.dup2(a, 3)
            os.dup2(b, 4)

        environment = dict(os.environ, HOME=self.profile, XDG_CONFIG_HOME=self.profile, XDG_CACHE_HOME=self.profile)
        self.process = subprocess.Popen(["chromium", f"--user-data-dir={self.profile}", *FLAGS], preexec_fn=as_it_wants,  # pylint: disable=subprocess-popen-preexec-fn
                                        pass_fds=(3, 4, to_read, to_write), env=environment, start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(10)
        os.close(self.read_end)
        os.close(self.write_end)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _receive(self, deadline):
        """The next message."""
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.read_end], [], [], max(0, deadline - time.monotonic()))
            got = os.read(self.read_end, 1 << 16) if ready else b""
            if not got:
                raise RuntimeError("chromium does not answer" if not ready else "chromium ended")
            self.unread += got
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, **params):
        """The result; events that come before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_end, data):]
        deadline = time.monotonic() + self.timeout
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method, session):
        deadline = time.monotonic() + self.timeout
        while not any(one.get("method") == method and one.get("sessionId") == session for one in self.events):
            self.events.append(self._receive(deadline))

    def page(self, width=1440, scheme="light", script=True):
        return Page(self, width, scheme, script)


class Page:
    """One tab of a size and a colour scheme."""

    def __init__(self, browser, width, scheme, script):
        self.browser, self.width = browser, width
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def open(self, url):
        self.browser.events = [one for one in self.browser.events if one.get("sessionId") != self.session]
        self.call("Page.navigate", url=url)
        self.browser.wait("Page.loadEventFired", self.session)
        return self

    def run(self, script):
        """The value of an expression, a promise's when it is kept."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"])[:500])
        return result["result"].get("value")

    def until(self, script, timeout=20):
        deadline = time.monotonic() + timeout
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"never true: {script}")
            time.sleep(0.1)
        return value

    def press(self, key, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **({"text": text} if kind == "keyDown" and text else {}))

    def complaints(self):
        """What its console says of errors and warnings, exceptions, what the content policy refused, and dialogs."""
        self.run("0")
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            params, method = event["params"], event["method"]
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("text", "") + str(params["exceptionDetails"].get("exception", {}).get("description", "")))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif method == "Page.javascriptDialogOpening":
                found.append(f"a dialog: {params['message']}")
        return found

    def picture(self, path):
        height = min(6000, int(self.run("document.documentElement.scrollHeight")))
        self.call("Emulation.setDeviceMetricsOverride", width=self.width, height=height, deviceScaleFactor=1, mobile=self.width < 500)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
