"""Chromium without a window, driven by the DevTools protocol over a pipe: JSON messages, each ended by NUL.

    with Browser() as browser:
        page = browser.open_page("/tmp/page.html")
        page.figures["received"], page.errors, page.requests
"""
import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time
import urllib.parse

TIMEOUT = 30
CHROMIUM = shutil.which("chromium")
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
           "--disable-default-apps", "--no-pings", "--mute-audio", "--lang=en", "--remote-debugging-pipe"]

# What a figure says: the number in its text, or the exact value of one that is shown rounded.
FIGURES = """(() => {
  const found = {};
  for (const e of document.querySelectorAll("[data-figure]")) {
    const text = e.textContent.trim(), n = e.dataset.figure;
    const whole = /^[0-9,]+$/.test(text), value = whole ? text.replaceAll(",", "") : e.value;
    (found[n] ??= []).push(value === undefined ? text : Number(value));
  }
  return found;
})()"""


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="frontdoor-web-")
        self.log = open(pathlib.Path(self.profile) / "chromium.log", "w+")
        to_read, self.to = os.pipe()
        self.by, by_write = os.pipe()
        self.buffer, self.last, self.pages = b"", 0, {}
        # It reads descriptor 3 and writes descriptor 4; a shell puts ours there.
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" 3<&{to_read} 4>&{by_write}', "sh", CHROMIUM, *OPTIONS,
             f"--user-data-dir={self.profile}/profile", "about:blank"],
            pass_fds=(to_read, by_write), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True, env={**os.environ, "HOME": self.profile})
        os.close(to_read)
        os.close(by_write)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.by)
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, **params):
        self.last += 1
        ident = self.last
        message = {"id": ident, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        return self.wait(lambda m: m.get("id") == ident, method)

    def wait(self, wanted, what):
        """Until a message comes that wanted() takes; events on the way go to their pages."""
        end = time.monotonic() + TIMEOUT
        while True:
            while b"\0" in self.buffer:
                one, self.buffer = self.buffer.split(b"\0", 1)
                message = json.loads(one)
                page = self.pages.get(message.get("sessionId"))
                if page and "method" in message:
                    page.event(message["method"], message["params"])
                if wanted(message):
                    if "error" in message:
                        raise OSError(f"{what}: {message['error']}")
                    return message.get("result", message.get("params"))
            ready, _, _ = select.select([self.by], [], [], max(0, end - time.monotonic()))
            more = os.read(self.by, 1 << 20) if ready else b""
            if not more:
                self.log.flush()
                text = pathlib.Path(self.log.name).read_text()[-2000:]
                raise TimeoutError(f"{what}: {'Chromium has ended' if ready else 'no answer'}\n{text}")
            self.buffer += more

    def open_page(self, path, dark=False, width=1200):
        """The page when it is loaded and drawn, with what was asked and what went wrong till then."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(domain + ".enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"
                                                           if dark else "light"}])
        url = "file://" + urllib.parse.quote(str(pathlib.Path(path).resolve()))
        page.url = url
        page.call("Page.navigate", url=url)
        self.wait(lambda m: m.get("method") == "Page.loadEventFired" and m.get("sessionId") == session,
                  f"load of {url}")
        # Two frames: what is drawn for the width that there is, is drawn then.
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.figures = page.read_figures()
        return page

    def close_pages(self):
        for page in list(self.pages.values()):
            self.call("Target.closeTarget", targetId=page.target)
        self.pages.clear()


class Page:
    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.errors, self.asked, self.url, self.figures = [], [], "", {}

    def event(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append("console: " + " ".join(str(a.get("value", a.get("description")))
                                                      for a in params["args"]))
        elif method == "Log.entryAdded":
            self.errors.append("log: " + params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    @property
    def requests(self):
        """All that it asked for besides itself."""
        return [u for u in self.asked if u != self.url]

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def run(self, code):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{code}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def count(self, selector):
        return self.run(f"document.querySelectorAll({json.dumps(selector)}).length")

    def texts(self, selector):
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")

    def read_figures(self):
        """{name: value} of all data-figure elements; one that is shown in several places has to be the same in all."""
        figures = {}
        for name, values in self.run(FIGURES).items():
            if any(v != values[0] for v in values):
                raise AssertionError(f"figure {name}: shown as {values}")
            figures[name] = values[0]
        return figures

    def screenshot(self, path, full=True):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
