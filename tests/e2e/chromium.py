"""A real Chromium, driven by its DevTools protocol over a pipe: pages, what they log, pictures of them, axe-core."""

import base64
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip
PHONE, DESKTOP = (390, 844), (1280, 900)
AXE = Path(__file__).parents[1] / "browser" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Pipe:
    """Commands to the browser and their answers; events that come between are kept."""

    to: IO[bytes]
    out: IO[bytes]
    events: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0
    unread: bytes = b""

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The answer to a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while True:
            read = self._read()
            if read.get("id") == self.number:
                assert "error" not in read, (method, read["error"])
                answer: dict[str, Any] = read["result"]
                return answer
            self.events.append(read)

    def wait_for(self, method: str) -> None:
        """Read until an event has come; those before it are kept, and it is taken out."""
        while not any(each.get("method") == method for each in self.events):
            self.events.append(self._read())
        self.events = [each for each in self.events if each.get("method") != method]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.unread:
            part = os.read(self.out.fileno(), 1 << 16)
            assert part, "the browser has ended"
            self.unread += part
        message, _, self.unread = self.unread.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read


@dataclass
class Tab:
    """A tab of the browser."""

    pipe: Pipe
    session: str

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.pipe.ask(method, self.session, **parameters)

    def go(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._forget_loads()
        self.ask("Page.navigate", url=url)
        self.pipe.wait_for("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click what leads to another page, and wait until that is loaded."""
        self._forget_loads()
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        self.pipe.wait_for("Page.loadEventFired")

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.ask("Input.insertText", text=text)

    def text(self) -> str:
        """All that the page shows."""
        return str(self.evaluate("document.body.innerText.replace(/\\s+/g, ' ')"))

    def errors(self) -> list[str]:
        """Errors that the page, the browser or its policy logged so far."""
        self.evaluate("1")  # what was logged before has been read by now
        found = []
        for event in self.pipe.events:
            told = event.get("params", {})
            if event.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
                found.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"]))
            if event.get("method") == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(told["args"]))
        return found

    def look_like(self, *, dark: bool = False, size: tuple[int, int] = DESKTOP, script: bool = True) -> None:
        """Set the colours, the size of the window, and whether scripts run."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8_000), "scale": 1}
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """Write the page as it is printed."""
        answer = self.ask("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def violations(self) -> list[str]:
        """Rules of accessibility that the page breaks, by axe-core, with the places."""
        self.evaluate(f"{AXE.read_text('utf-8')}; 1")
        found = self.evaluate("axe.run(document).then((found) => found.violations)")
        return [f"{each['id']}: {[node['target'] for node in each['nodes']][:5]}" for each in found]

    def _forget_loads(self) -> None:
        self.pipe.events = [each for each in self.pipe.events if each.get("method") != "Page.loadEventFired"]


@contextmanager
def browsing(command: str, profile: Path) -> Iterator[Tab]:
    """A tab of a browser that ends with the block."""
    reads, to = os.pipe()
    out, writes = os.pipe()
    above = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (reads, writes)]

    def as_the_browser_expects() -> None:
        for number, each in zip((3, 4), above, strict=True):
            os.dup2(each, number)

    process = subprocess.Popen(
        [command, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        close_fds=False,  # all but those two close by themselves
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=as_the_browser_expects,  # noqa: PLW1509 - the interpreter is this test's own
    )
    for each in (reads, writes, *above):
        os.close(each)
    try:
        with os.fdopen(to, "wb") as sending, os.fdopen(out, "rb", buffering=0) as receiving:
            pipe = Pipe(sending, receiving)
            target = pipe.ask("Target.createTarget", url="about:blank")["targetId"]
            session = pipe.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            tab = Tab(pipe, session)
            for domain in ("Page", "Runtime", "Log"):
                tab.ask(f"{domain}.enable")
            tab.look_like()
            yield tab
    finally:
        process.terminate()
        process.wait(timeout=30)
