"""What the origin serves: bodies that say of each of their words whose it is, and which version of it is the newest.

A word is 8 bytes: body 16 bits, version 20, offset in words 28. The versions are in memory that all processes share."""
import ctypes
import multiprocessing
import struct
from array import array

SITES = {"a": "a.test", "b": "b.test"}
LANGUAGES = ("en", "fr", "de")
TAGS = 16
LARGE_BYTES = 6 << 20
WORD = struct.Struct("<Q")


class Key:
    def __init__(self, number, kind, length):
        self.number, self.kind, self.length = number, kind, length
        self.site = "b" if number % 5 == 0 else "a"
        self.host = SITES[self.site]
        self.path = f"/{kind}/{number}"
        self.tag = f"t{number % TAGS}"

    def body_id(self, language=0):
        return self.number * 4 + language


def make_keys():
    """Small ones, some of up to a whole record, some that vary by language, some that are kept in pieces, and some in one row, as
    their origin takes no ranges."""
    keys = []
    for kind, count, length in [("small", 700, lambda i: 24 + 8 * (i * 7919 % 5000)), ("mid", 120, lambda i: 1000 * (60 + i * 7 % 900)),
                                ("vary", 60, lambda i: 4000 + 8 * i), ("large", 8, lambda i: LARGE_BYTES + 8 * i),
                                ("row", 3, lambda i: LARGE_BYTES + 8 * i)]:
        keys += [Key(len(keys) + i, kind, length(i)) for i in range(count)]
    return keys


KEYS = make_keys()
BY_PATH = {key.path: key for key in KEYS}


# A stretch of words at once, as one number: the words of body 0 from offset 0 on, and a 1 in each.
STRETCH = 4096
FIRST_WORDS, ONES = (int.from_bytes(array("Q", words).tobytes(), "little") for words in (range(STRETCH), [1] * STRETCH))


def body(body_id, version, first, end):
    """The bytes from first up to end."""
    base, start = body_id << 48 | version << 28, first // (8 * STRETCH) * STRETCH
    data = b"".join((FIRST_WORDS + (base + at) * ONES).to_bytes(8 * STRETCH, "little") for at in range(start, (end + 7) // 8, STRETCH))
    return data[first - 8 * start:end - 8 * start]


def version_in(data, first):
    """The version that bytes from `first` on say they are of; there must be a whole word."""
    return WORD.unpack_from(data, -first % 8)[0] >> 28 & 0xfffff


def etag(key, version, language=0):
    return f'"{key.body_id(language)}-{version}"'


class Versions:
    """By key: what the origin serves; what no request sent from now on may be answered with less than.

    A purge raises the floor once it is acknowledged, for good. An unsafe method does when it is answered: for as long as
    the process lives that answered, and after it if the process lived on for SETTLED seconds."""
    SETTLED = 1.0

    def __init__(self):
        count = len(KEYS)
        self.lock = multiprocessing.Lock()
        self.current, self.floor, self.unsafe = (multiprocessing.RawArray(ctypes.c_uint64, count) for _ in range(3))
        self.unsafe_at = multiprocessing.RawArray(ctypes.c_double, count)
        for array_ in self.current, self.floor:
            array_[:] = [1] * count

    def change(self, keys):
        """These have a new version each from now on: {number: version}."""
        with self.lock:
            for key in keys:
                self.current[key.number] += 1
            return {key.number: self.current[key.number] for key in keys}

    def least(self, key):
        return max(self.floor[key.number], self.unsafe[key.number])

    def purged(self, versions):
        with self.lock:
            for number, version in versions.items():
                self.floor[number] = max(self.floor[number], version)

    def invalidated(self, key, version, now):
        with self.lock:
            if version > self.unsafe[key.number]:
                self.unsafe[key.number], self.unsafe_at[key.number] = version, now

    def died(self, at):
        """The serving process ended then."""
        with self.lock:
            for number, version in enumerate(self.unsafe):
                if version and self.unsafe_at[number] < at - self.SETTLED:
                    self.floor[number] = max(self.floor[number], version)
                self.unsafe[number] = 0
