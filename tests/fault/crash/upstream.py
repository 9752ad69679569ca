"""The origin, a process of its own: the newest version of whatever is asked for, whole or a range of it, with validators."""
import multiprocessing

from content import BY_PATH, LANGUAGES, body, etag
from harness.origin import Origin, Request


class Forgetful(Origin):
    """Keeps no requests: there are too many."""

    def note(self, method, target, fields, body, connection):
        return Request(method, target, fields, body, 0, connection)


def serve(versions, closed, pipe):
    origin = Forgetful()
    origin.on("/*", lambda request, response: answer(versions, closed, request, response))
    pipe.send(origin.url)
    pipe.recv()
    origin.close()
    pipe.send(origin.failures)


def answer(versions, closed, request, response):
    key = BY_PATH[request.path]
    if closed.value:
        return response.send(503, {"Cache-Control": "no-store"}, b"closed")
    if request.method == "POST":
        version = versions.change([key])[key.number]
        return response.send(200, {"Cache-Control": "no-store", "X-Version": version}, b"done")
    version = versions.current[key.number]
    fields = {"Cache-Control": "max-age=86400", "Cache-Tag": key.tag, "Accept-Ranges": "none" if key.kind == "row" else "bytes"}
    language = 0
    if key.kind == "vary":
        fields["Vary"] = "Accept-Language"
        language = LANGUAGES.index(request.get("accept-language", LANGUAGES[0]))
    fields["ETag"] = etag(key, version, language)
    if request.get("if-none-match") == fields["ETag"]:
        return response.send(304, fields)
    asked = request.get("range") if key.kind != "row" else None
    if asked and request.get("if-range") in (None, fields["ETag"]):
        first, last = asked.removeprefix("bytes=").split("-")
        first, end = int(first), min(int(last) + 1 if last else key.length, key.length)
        fields["Content-Range"] = f"bytes {first}-{end - 1}/{key.length}"
        return response.send(206, fields, body(key.body_id(language), version, first, end))
    return response.send(200, fields, body(key.body_id(language), version, 0, key.length))


class Upstream:
    def __init__(self, versions):
        self.closed = multiprocessing.Value("b", 0)  # 1: it has nothing for anybody
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(versions, self.closed, theirs), daemon=True)
        self.process.start()
        self.url = self.pipe.recv()

    def close(self):
        """What went wrong in it."""
        self.pipe.send("close")
        failures = self.pipe.recv()
        self.process.join(10)
        return failures
