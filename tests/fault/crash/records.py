"""What the files of a disk's directory say was written, read by other means than the node's own (edge/cache/disk/record.h,
meta.c), without its checksums: after SIGKILL every write that was made is there."""
import os
import struct
from collections import Counter
from pathlib import Path

from content import BY_PATH, WORD, etag

SEGMENT_HEADER, HEADER, UNIT, PIECE = 4096, 128, 512, 1 << 20
OBJECT, VARIANTS, TOMBSTONES = 1, 2, 3
HEAD = struct.Struct("<8sIBxxxQIII4x16sQ16s")
HAS_NODE, HAS_SELECTOR = 1, 2


def serials(directory):
    """By file name: the serial of its segment; 0: it has none."""
    found = {}
    for path in sorted(Path(directory).glob("segment-*")):
        with open(path, "rb", buffering=0) as file:
            head = file.read(24)
        found[path.name] = struct.unpack_from("<Q", head, 16)[0] if head[:8] == b"SELVSEGM" else 0
    return found


class Record:
    """An object's, with what its body says of itself."""

    def __init__(self, meta, body_start):
        site, target, selector = struct.unpack_from("<HHH", meta)
        bits, names = meta[6], meta[7]
        at = 8
        self.node = None
        if bits & HAS_NODE:
            self.node, at = meta[at:at + 16], at + 16
        self.key = BY_PATH.get(meta[at + site:at + site + target].decode())
        self.is_part = bool(bits & HAS_SELECTOR) and not self.node
        at += site + target + selector
        for _ in range(names):
            at += 2 + struct.unpack_from("<H", meta, at)[0]
        self.etag = self._field(meta, at, b"etag") if len(meta) > at else None
        self.word = WORD.unpack(body_start)[0] if len(body_start) == 8 else None

    @staticmethod
    def _field(meta, at, wanted):
        count, = struct.unpack_from("<H", meta, at + 4)
        at += 64
        for _ in range(count):
            name, value = struct.unpack_from("<HH", meta, at)
            at += 4 + name + value
            if meta[at - value - name:at - value].lower() == wanted:
                return meta[at - value:at].decode()
        return None

    @property
    def version(self):
        return self.word >> 28 & 0xfffff

    @property
    def offset(self):
        return 8 * (self.word & 0xfffffff)

    @property
    def language(self):
        return self.word >> 48 & 3


def segment_records(file, serial):
    """kind, name, meta and the body's first word of each."""
    at = SEGMENT_HEADER
    while len(head := os.pread(file, HEADER, at)) == HEADER:
        magic, _, kind, in_serial, unit, meta_bytes, body_bytes, name, _, _ = HEAD.unpack_from(head)
        if magic != b"SELVRECD" or in_serial != serial or unit != at // UNIT:
            return
        body_at = at + -(-(HEADER + meta_bytes) // UNIT) * UNIT
        yield kind, name, os.pread(file, meta_bytes, at + HEADER), os.pread(file, min(8, body_bytes), body_at)
        at = body_at + -(-body_bytes // UNIT) * UNIT


def living(directory):
    """The newest record of each name that was not buried later."""
    objects, nodes = {}, {}
    for name, serial in sorted(serials(directory).items(), key=lambda item: item[1]):
        if serial == 0:
            continue
        file = os.open(Path(directory) / name, os.O_RDONLY)
        for kind, name, meta, body_start in segment_records(file, serial):
            if kind == TOMBSTONES:
                for at in range(0, len(meta), 16):
                    objects.pop(meta[at:at + 16], None)
                    nodes.pop(meta[at:at + 16], None)
            else:
                objects.pop(name, None)
                nodes.pop(name, None)
                (objects if kind == OBJECT else nodes)[name] = Record(meta, body_start)
        os.close(file)
    return list(objects.values()), list(nodes.values())


def findable(directory):
    """(key, version, part or None, language) of each object that is there and can be found by a request."""
    objects, nodes = living(directory)
    leads = {(node.key, node.node) for node in nodes}
    heads = {record.key: record.etag for record in objects if record.is_part and record.word is None}
    parts = Counter((record.key, record.version) for record in objects if record.is_part and record.word is not None)
    found = []
    for record in objects:
        if record.word is None or record.key is None:
            continue
        if record.is_part:
            lacks_some = record.key.kind == "row" and parts[record.key, record.version] < -(-record.key.length // PIECE)
            if heads.get(record.key) == etag(record.key, record.version) and not lacks_some:
                found.append((record.key, record.version, (record.offset, min(record.offset + 5000, record.key.length)), 0))
        elif record.node is None or (record.key, record.node) in leads:
            found.append((record.key, record.version, None, record.language))
    return found
