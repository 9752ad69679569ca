"""The clients, processes of their own: they ask all the time, judge each answer, and come again when they are cut off."""
import ctypes
import http.client
import json
import multiprocessing
import random
import time

from content import KEYS, LANGUAGES, SITES, TAGS, body, etag, version_in
from harness.h1 import H1
from harness.message import BodyCutShort

CUT_OFF = (OSError, EOFError, ValueError, http.client.HTTPException, BodyCutShort)
COUNTS = ["memory hit", "disk hit", "miss", "range", "piece", "whole of a large one", "of one row", "variant", "unsafe", "cut off",
          "refused", "purge url", "purge tag", "purge site", "purge everything", "soft", "bytes"]


class Violation(Exception):
    """What must never be."""


class Shared:
    """What all processes have in common."""

    def __init__(self, versions, clients):
        self.versions = versions
        self.ports = multiprocessing.RawArray(ctypes.c_int, 2)  # of the listener, of the admin listener
        self.token = multiprocessing.RawArray(ctypes.c_char, 256)
        self.running = multiprocessing.Event()
        self.idle = multiprocessing.RawArray(ctypes.c_bool, clients)
        self.counts = multiprocessing.RawArray(ctypes.c_uint64, len(COUNTS) * clients)
        self.violations = multiprocessing.Queue()


class Client:
    def __init__(self, shared, number, seed):
        self.shared, self.versions, self.number = shared, shared.versions, number
        self.chance = random.Random(f"{seed}/{number}")
        self.connection = None

    def count(self, what, by=1):
        self.shared.counts[self.number * len(COUNTS) + COUNTS.index(what)] += by

    def run(self, action):
        while True:
            if not self.shared.running.is_set():
                self.shared.idle[self.number] = True
                self.shared.running.wait()
                self.shared.idle[self.number] = False
            try:
                action()
            except CUT_OFF:
                self.count("cut off")
                self.hang_up()
                time.sleep(0.002)  # the node is gone: not a loop that keeps it from coming back
            except Violation as violation:
                self.shared.violations.put(str(violation))

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    # ---- asking

    def request(self, key, fields=(), method="GET", **more):
        if self.connection is None:
            self.connection = H1(("127.0.0.1", self.shared.ports[0]), seconds=10)
        return self.connection.request(key.path, fields, method, host=key.host, **more)

    def get(self, key, part=None, language=0):
        """Asks for all of it or for a part, first and end; judges the answer. True: it was a hit."""
        fields = {"Accept-Language": LANGUAGES[language]} if key.kind == "vary" else {}
        if part:
            fields["Range"] = f"bytes={part[0]}-{part[1] - 1}"
        least = self.versions.least(key)
        answer = self.request(key, fields)
        if answer.status >= 500:
            self.count("refused")
            return False
        if answer.status != (206 if part else 200):
            raise Violation(f"{key.path} {fields}: {answer}")
        self.judge(key, part or (0, key.length), language, least, answer)
        hit = "hit" in answer.cache
        self.count(("disk hit" if answer.cache.get("detail") == "disk" else "memory hit") if hit else "miss")
        return hit

    def judge(self, key, part, language, least, answer):
        what = f"{key.path} bytes {part} {answer.status} {answer.get('cache-status')}"
        if len(answer.body) != part[1] - part[0]:
            raise Violation(f"{what}: {len(answer.body)} bytes")
        version = version_in(answer.body, part[0])
        if answer.body != body(key.body_id(language), version, *part):
            raise Violation(f"{what}: bytes that are not of version {version}")
        if answer.get("etag") != etag(key, version, language):
            raise Violation(f"{what}: the ETag {answer.get('etag')} with bytes of version {version}")
        if version < least:
            raise Violation(f"{what}: version {version} after {least} was acknowledged")
        self.count("bytes", len(answer.body))

    # ---- what they do

    def some(self, kind):
        """One of these keys, the first ones more often."""
        keys = KINDS[kind]
        return keys[int(len(keys) * self.chance.random() ** 2)]

    def part_of(self, key, most):
        first = self.chance.randrange(key.length - 16)
        return first, min(key.length, first + self.chance.randrange(16, most))

    def ask(self):
        dice = self.chance.random()
        if dice < 0.70:
            self.get(self.some("small" if dice < 0.58 else "mid"))
        elif dice < 0.80:
            self.get(self.some("vary"), language=self.chance.randrange(len(LANGUAGES)))
            self.count("variant")
        elif dice < 0.87:
            key = self.some("mid")
            self.get(key, self.part_of(key, 100_000))
            self.count("range")
        elif dice < 0.966:
            key = self.some("large")
            self.get(key, self.part_of(key, 200_000))
            self.count("piece")
        elif dice < 0.969:
            key = self.some("row")
            self.get(key, self.part_of(key, 200_000))
            self.count("of one row")
        elif dice < 0.97:
            self.get(self.some("large"))
            self.count("whole of a large one")
        else:
            self.post(self.some(self.chance.choice(["small"] * 10 + ["vary"] * 4 + ["large", "row"])))

    def post(self, key):
        answer = self.request(key, method="POST", body=b"x")
        if answer.status != 200:
            self.count("refused")
            return
        self.versions.invalidated(key, int(answer.get("x-version")), time.monotonic())
        self.count("unsafe")

    def purge(self):
        """New versions at the origin first; once the purge is acknowledged no older one may be served any more."""
        dice, soft = self.chance.random(), self.chance.random() < 0.25
        if dice < 0.96:
            what, keys = "url", [self.some(kind) for kind in self.chance.choices(list(KINDS), (20, 5, 4, 1, 1), k=2)]
            asked = {"urls": [f"http://{key.host}{key.path}" for key in keys]}
        elif dice < 0.99:
            what, site, tag = "tag", self.chance.choice(list(SITES)), f"t{self.chance.randrange(TAGS)}"
            keys = [key for key in KEYS if (key.site, key.tag) == (site, tag)]
            asked = {"site": site, "tags": [tag]}
        elif dice < 0.998:
            what, asked = "site", {"site": "b"}
            keys = [key for key in KEYS if key.site == "b"]
        else:
            what, keys, asked = "everything", KEYS, {"everything": True}
        versions = self.versions.change(set(keys))
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.shared.ports[1], timeout=10)
        self.connection.request("POST", "/v1/purge", json.dumps({**asked, "soft": soft}),
                                {"Authorization": f"Bearer {self.shared.token.value.decode()}", "Content-Type": "application/json"})
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise Violation(f"purge of {asked}: {answer.status} {said}")
        self.versions.purged(versions)
        self.count("purge " + what)
        self.count("soft", soft)
        time.sleep(0.02)


KINDS = {kind: [key for key in KEYS if key.kind == kind] for kind in ("small", "mid", "vary", "large", "row")}


class Load:
    """`clients` that ask, and one that purges. They stand still until go()."""

    def __init__(self, versions, clients, seed):
        self.shared = Shared(versions, clients + 1)
        self.processes = []
        for number in range(clients + 1):
            client = Client(self.shared, number, seed)
            action = client.purge if number == clients else client.ask
            self.processes.append(multiprocessing.Process(target=client.run, args=(action,), daemon=True))
        for process in self.processes:
            process.start()

    def aim(self, node):
        self.shared.ports[:] = [node.http_port, int(node.admin_url.rsplit(":", 1)[1])]
        self.shared.token.value = node.token.encode()

    def go(self):
        self.shared.running.set()

    def halt(self, until):
        """Until each has its answer, or was cut off."""
        self.shared.running.clear()
        until(lambda: all(self.shared.idle), "the clients stand still", 30)

    def violations(self):
        found = []
        while not self.shared.violations.empty():
            found.append(self.shared.violations.get())
        return found

    def counts(self):
        every = self.shared.counts
        return {what: sum(every[at::len(COUNTS)]) for at, what in enumerate(COUNTS)}

    def end(self):
        for process in self.processes:
            process.kill()
