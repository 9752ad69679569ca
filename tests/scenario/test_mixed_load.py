"""Everything at once: hits, misses, conditions, clients that leave, purges, and an origin with every fault. Each answer is
judged, each part counted; afterwards nothing is left.

SELVEDGE_MIXED_SECONDS: how long (60 by hand, on the sanitized build); the counts wanted go with it."""
import os
import random
import threading
import time
from collections import Counter

import pytest

from harness.h1 import H1
from harness.h2client import H2
from harness.message import BodyCutShort, noise
from harness.waiting import PATIENCE

SECONDS = float(os.environ.get("SELVEDGE_MIXED_SECONDS", "10"))
WANTED = {"hit": 1000, "miss": 1000, "conditional": 1000, "abort": 1000, "purge": 200, "reset": 50, "stall": 50, "fewer": 50,
          "more": 50, "garbage": 50}
ASSETS, BIG = 60, noise(700_000)


class Origin:
    """What the scripted origin does: assets with a version each, big bodies, faults."""

    def __init__(self, origin):
        self.versions = Counter()  # by path: bumped, then purged
        origin.on("/asset/*", self.asset)
        origin.on("/unique/*", self.asset)
        origin.on("/big/*", lambda _, response: response.send(200, {"Cache-Control": "max-age=600"}, BIG))
        for name in "reset", "stall", "fewer", "more", "garbage":
            origin.on(f"/{name}/*", getattr(self, name))

    def asset(self, request, response):
        version = self.versions[request.path]
        response.send(200, {"Cache-Control": "max-age=600", "ETag": f'"{version}"'}, b"%d %s " % (version, request.path.encode()) * 50)

    @staticmethod
    def half(response):
        response.head(200, {"Content-Length": 20_000, "Cache-Control": "max-age=600"})
        response.raw(b"h" * 10_000)

    def reset(self, _, response):
        self.half(response)
        response.reset()

    def stall(self, _, response):
        self.half(response)
        response.gone()

    def fewer(self, _, response):
        self.half(response)
        response.close()

    @staticmethod
    def more(_, response):
        response.head(200, {"Content-Length": 5, "Cache-Control": "max-age=600"})
        response.raw(b"exact and more")
        response.close()

    @staticmethod
    def garbage(_, response):
        response.raw(b"\x16\x03\x01 nonsense \x00\xff\r\n\r\n")
        response.close()


class Load:
    def __init__(self, node, origin):
        self.node, self.script = node, Origin(origin)
        self.counts, self.errors, self.acknowledged = Counter(), [], Counter()
        self.lock, self.end = threading.Lock(), threading.Event()
        self.serial = 0

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def unique(self, kind):
        with self.lock:
            self.serial += 1
            return f"/{kind}/{self.serial}"

    def connect(self, chance):
        return H2(("127.0.0.1", self.node.https_port)) if chance.random() < 0.5 else H1(("127.0.0.1", self.node.http_port))

    def forever(self, index, action):
        """The action again and again, on a connection that is sometimes a new one."""
        chance = random.Random(index)
        client = self.connect(chance)
        try:
            while not self.end.is_set():
                if action(client, chance) == "renew" or chance.random() < 0.02:
                    client.close()
                    client = self.connect(chance)
        except BaseException as error:  # told by the test
            self.errors.append((action.__name__, repr(error)))
            self.end.set()
        client.close()

    # ---- the parts

    def judge(self, path, floor, answer):
        assert answer.status == 200, (path, answer, bytes(answer.body[:80]))
        version, named = bytes(answer.body).split(b" ")[:2]
        assert named == path.encode() and answer.body == b"%s %s " % (version, named) * 50, "the bytes of one version"
        assert int(version) >= floor, f"version {version} after the purge for {floor} was acknowledged"
        self.count("hit" if "hit" in answer.cache else "miss")

    def assets(self, client, chance):
        path = f"/asset/{chance.randrange(ASSETS)}"
        floor = self.acknowledged[path]
        self.judge(path, floor, client.request(path))

    def uniques(self, client, _):
        path = self.unique("unique")
        self.judge(path, 0, client.request(path))

    def conditionals(self, client, chance):
        path = f"/asset/{chance.randrange(ASSETS)}"
        floor = self.acknowledged[path]
        answer = client.request(path, {"If-None-Match": f'"{floor}"'})
        if answer.status == 200:
            return self.judge(path, floor, answer)
        assert answer.status == 304 and answer.get("etag") == f'"{floor}"'
        return self.count("conditional")

    def aborts(self, client, chance):
        path = self.unique("big") if chance.random() < 0.5 else f"/big/shared{chance.randrange(5)}"
        if client.protocol == "h2" and chance.random() < 0.7:
            stream = client.ask(path)
            if chance.random() < 0.7:
                stream.at_least(1)
            stream.cancel()
            self.count("abort")
            return None
        client.ask(path)
        if client.protocol == "h1" and chance.random() < 0.7:
            client.at_least(client.head(), 1)
        client.abort()
        self.count("abort")
        return "renew"

    def purges(self, _, chance):
        paths = [f"/asset/{number}" for number in chance.sample(range(ASSETS), 3)]
        wide = chance.random()
        for path in paths:
            self.script.versions[path] += 1
        now = {path: self.script.versions[path] for path in paths}
        soft = chance.random() < 0.2
        if wide < 0.9:
            self.node.purge(urls=[self.node.url(path) for path in paths], soft=soft)
        else:
            self.node.purge(**{"site": "default"} if wide < 0.95 else {"everything": True}, soft=soft)
        self.acknowledged.update({path: version - self.acknowledged[path] for path, version in now.items()})
        self.count("purge")
        self.end.wait(0.02)

    def fault(self, kind):
        def one(client, _):
            path = self.unique(kind)
            try:
                answer = client.request(path)
                assert (kind == "more" and answer.body == b"exact") or answer.status in (502, 504), (kind, answer)
                renew = None
            except BodyCutShort as cut:
                assert kind in ("reset", "stall", "fewer") and b"h" * 10_000 == cut.answer.body[:10_000].ljust(10_000, b"h")
                renew = "renew"
            self.count(kind)
            self.end.wait(0.01)
            return renew
        one.__name__ = kind
        return one


@pytest.mark.patient(60 + 2 * SECONDS)
def test_mixed_load_and_then_nothing_is_left(start_node, origin):
    node = start_node(origin, memory="32M", between_bytes_timeout="0.3")
    load = Load(node, origin)
    actions = [load.assets, load.assets, load.conditionals, load.uniques, load.aborts, load.purges]
    actions += [load.fault(kind) for kind in ("reset", "stall", "fewer", "more", "garbage")]
    threads = [threading.Thread(target=load.forever, args=item, daemon=True) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    load.end.wait(SECONDS)
    load.end.set()
    for thread in threads:
        thread.join(20 * PATIENCE)
    print(f"\n{dict(load.counts)}")
    assert not load.errors, load.errors
    assert not any(thread.is_alive() for thread in threads)
    for what, count in WANTED.items():
        assert load.counts[what] >= count * SECONDS / 60, what
    nothing_is_left(node)


def nothing_is_left(node):
    node.wait_metric("selvedge_fills", 0, seconds=20)
    node.purge(everything=True)
    start = time.monotonic()
    node.wait_metric("selvedge_objects", 0, seconds=20)
    node.wait_metric("selvedge_memory_bytes", 0, seconds=20)
    print(f"empty {time.monotonic() - start:.1f} s after the purge")
    assert node.metric("selvedge_fills") == 0
    node.stop()
