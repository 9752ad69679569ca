"""HTTP messages as the clients and origins see them: fields in the order they came, and Cache-Status taken apart."""
import random


class Fields(list):
    """(name, value) pairs in order; names in lower case."""

    def __init__(self, pairs=()):
        if isinstance(pairs, dict):
            pairs = pairs.items()
        super().__init__((str(name).lower(), str(value)) for name, value in pairs)

    def all(self, name):
        return [value for key, value in self if key == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def __contains__(self, name):
        return bool(self.all(name))


class BodyCutShort(Exception):
    """An answer's body ended with an error. how: 'reset' or 'eof' on HTTP/1.1, 'RST_STREAM' or 'GOAWAY' on HTTP/2."""

    def __init__(self, how, answer, code=None):
        super().__init__(f"{how} {code if code is not None else ''} after {len(answer.body)} bytes of body")
        self.how, self.answer, self.code = how, answer, code


class Answer:
    """A response: the head at once, the body as it comes in."""

    def __init__(self, status, fields, reason=""):
        self.status, self.reason = status, reason
        self.fields = Fields(fields)
        self.body = bytearray()

    def get(self, name, default=None):
        return self.fields.get(name, default)

    @property
    def cache(self):
        """Our Cache-Status as a dict: {'hit': True, 'ttl': 59}, {'fwd': 'miss', 'stored': True}; None when it has none."""
        return parse_cache_status(self.get("cache-status"))

    @property
    def age(self):
        return int(self.get("age")) if "age" in self.fields else None

    def __repr__(self):
        return f"<{self.status} {dict(self.fields)} {len(self.body)} bytes>"


def parse_cache_status(value):
    """The parameters of the member `selvedge` (RFC 9211); tokens as text, integers as int, no value as True."""
    for member in (value or "").split(","):
        name, *parameters = [part.strip() for part in member.split(";")]
        if name == "selvedge":
            return dict(_parameter(text) for text in parameters)
    return None


def _parameter(text):
    name, equals, value = text.partition("=")
    if not equals:
        return name, True
    return name, int(value) if value.lstrip("-").isdigit() else value.strip('"')


def noise(length, seed=1):
    """Bytes that no other seed gives and no coding makes smaller, the same every time."""
    return random.Random(f"{seed}/{length}").randbytes(length)
