"""A proxy in front of a server, which does to some requests what goes wrong on a line.

    python3 proxy.py PORT-OF-THE-SERVER

It prints its own port, then serves until its standard input is closed. `POST /__faults` with a JSON list says what is to go wrong with the
requests that follow; each fault is an object:

    kind    `drop` (the connection ends without an answer), `status`, `slow`, `longer` and `shorter` (a false length), `truncate` (half
            of the body, then the connection ends), `flip` (a bit of the body), `flip-sent` (a bit of what is sent), `strip`
            (`If-None-Match` goes)
    times   how many requests it meets; every one if there is none
    method  only of this method
    path    only with this text in the path
    status  for `status`: the answer, 500 if there is none
    seconds for `slow`

`GET /__requests` gives the number of requests so far, and sets it to 0.
"""

import http.client
import http.server
import json
import socketserver
import sys
import threading
import time

SERVER = int(sys.argv[1])
LOCK = threading.Lock()
FAULTS = []
COUNT = 0


def fault(method, path):
    """The faults that this request meets."""
    met = {}
    with LOCK:
        for one in FAULTS:
            right = one.get("method", method) == method and one.get("path", "") in path
            if right and one.get("times", 1) > 0 and one["kind"] not in met:
                if "times" in one:
                    one["times"] -= 1
                met[one["kind"]] = one
    return met


def flipped(body):
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1 :] if body else body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def any(self):
        global COUNT
        body = self.read()
        if self.path == "/__faults":
            with LOCK:
                FAULTS[:] = json.loads(body)
            return self.answer(200)
        if self.path == "/__requests":
            with LOCK:
                count, COUNT = COUNT, 0
            return self.answer(200, str(count).encode())
        with LOCK:
            COUNT += 1
        met = fault(self.command, self.path)
        if "drop" in met:
            self.close_connection = True
            return None
        if "status" in met:
            return self.answer(met["status"].get("status", 500), b"<Error><Code>Faulty</Code></Error>")
        if "slow" in met:
            time.sleep(met["slow"].get("seconds", 1))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        if "strip" in met:
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        if "flip-sent" in met:
            body = flipped(body)
        server = http.client.HTTPConnection("127.0.0.1", SERVER, timeout=60)
        server.request(self.command, self.path, body=body, headers=headers)
        response = server.getresponse()
        got = response.read()
        server.close()
        if "flip" in met:
            got = flipped(got)
        length = len(got)
        if self.command == "HEAD":
            length = int(response.headers.get("content-length") or 0)
        if "longer" in met:
            length += 10
        if "shorter" in met:
            length = max(length - 10, 0)
        self.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if response.status != 204:
            self.send_header("content-length", str(length))
        self.end_headers()
        if "truncate" in met:
            got = got[: len(got) // 2]
        if "shorter" in met:
            got = got[:length]
        if self.command != "HEAD":
            self.wfile.write(got)
        if "truncate" in met or "longer" in met:
            self.close_connection = True
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # The other side has gone away, as it may.


SERVING = Server(("127.0.0.1", 0), Handler)
print(SERVING.server_address[1], flush=True)
threading.Thread(target=SERVING.serve_forever, daemon=True).start()
sys.stdin.read()
