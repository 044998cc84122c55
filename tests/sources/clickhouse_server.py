"""ClickHouse's HTTP interface before the real engine (chdb), run as a process of its own: users, settings, streams.

python -m tests.sources.clickhouse_server <folder>     prints its port; user `reader`, password `hunter2`
"""

import base64
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

USER, PASSWORD = "reader", "hunter2"
TRANSPORT = {"database", "session_id", "query_id", "client_protocol_version", "enable_http_compression", "compress"}
TRANSPORT |= {"send_progress_in_http_headers", "wait_end_of_query", "http_headers_progress_interval_ms", "query"}
CUT = "cut here"  # a query with this comment loses its connection in the middle of the answer
CHUNK = 1 << 16


class Interface(BaseHTTPRequestHandler):
    """One request: a query in the body or the URL, settings and parameters in the URL."""

    protocol_version = "HTTP/1.1"
    folder = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        options = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            self._fail(403, 516, "Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        try:
            answer = self._run("\n".join(part for part in (options.get("query"), body) if part), options)
        except RuntimeError as error:
            text = str(error)
            self._fail(500, int(text.partition("Code: ")[2].partition(".")[0] or 0), text)
            return
        self._send(answer, is_cut=CUT in body)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def _run(self, query: str, options: dict[str, str]) -> bytes:
        parameters = {name[6:]: value for name, value in options.items() if name.startswith("param_")}
        settings = {name: value for name, value in options.items() if name[:6] != "param_" and name not in TRANSPORT}
        with closing(chdb.connect(self.folder)) as connection:
            for name, value in sorted(settings.items(), key=lambda each: each[0] == "readonly"):
                connection.query(f"set {name} = '{value}'")
            answer: bytes = connection.query(query, "TabSeparated", params=parameters).bytes() or b""
        return answer

    def _fail(self, status: int, code: int, text: str) -> None:
        self.send_response(status)
        self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def _send(self, answer: bytes, *, is_cut: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("X-ClickHouse-Format", "Native")
        self.end_headers()
        length = len(answer) // 2 if is_cut else len(answer)
        for start in range(0, length, CHUNK):
            chunk = answer[start : min(start + CHUNK, length)]
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        if is_cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


def main(folder: str) -> None:
    """Serve until it is killed."""
    Interface.folder = folder
    server = ThreadingHTTPServer(("127.0.0.1", 0), Interface)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
