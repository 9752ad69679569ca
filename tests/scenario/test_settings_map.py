"""Every setting and option has a scenario that sets it and sees what that does; every message of the checker has a test
that reads it whole.

A scenario says what it sets: `@pytest.mark.setting("limits.connections")`, by the name that --explain has, or, for what is
no setting, by the option (`--check`). conftest.py holds it to that. Messages are found in conf/: the formats given to
functions that are declared to take one."""
import ast
import functools
import re
from pathlib import Path

import pytest

from harness.node import ROOT
from harness.settings import everything

HERE = Path(__file__).parent
CODE = sorted((ROOT / "conf").glob("*.c"))
READERS = [*sorted(HERE.glob("test_*.py")), *sorted((ROOT / "tests/unit").glob("*_test.c"))]
C_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
CONVERSION = re.compile(r"%(?:%|[-+ 0#]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z|j)?[a-zA-Z])")


# ---- settings

@functools.lru_cache
def marked():
    """{setting: the tests that are marked for it}"""
    found = {}
    for path in READERS:
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.setting":
                for word in node.args:
                    found.setdefault(ast.literal_eval(word), []).append(path.name)
    return found


def test_every_setting_and_option_has_a_scenario():
    assert len(everything()) > 40
    missing = [name for name in everything() if name not in marked()]
    assert not missing, f"no scenario is marked for {', '.join(missing)}"


def test_every_mark_names_a_setting():
    assert set(marked()) <= set(everything())


# ---- messages

def arguments_of(code, start):
    """The arguments of the call whose bracket opens at start, split at its own commas."""
    depth, found, last = 0, [], start + 1
    at = start
    while True:
        text = C_STRING.match(code, at)
        if text:
            at = text.end()
            continue
        if code[at] in "([{":
            depth += 1
        elif code[at] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and code[at] == ","):
            found.append(code[last:at].strip())
            last = at + 1
        if depth == 0:
            return found
        at += 1


def text_of(expression):
    """What adjacent literals say together; None for anything else."""
    if C_STRING.sub("", expression).strip():
        return None
    return "".join(C_STRING.findall(expression)).replace(r"\"", '"')


def complainers(code):
    """{function: the place of its format}, by the attribute that lets the compiler check it."""
    declared = re.finditer(r"__attribute__\(\(format\(printf, (\d+), \d+\)\)\)\s*(?:static\s+)?\w+\s+\**(\w+)\(", code)
    return {match[2]: int(match[1]) - 1 for match in declared}


def formats_in(path):
    code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    for function, place in complainers(code).items():
        for call in re.finditer(rf"(?<![>.])\b{function}\(", code):
            expression = arguments_of(code, call.end() - 1)[place]
            if expression.endswith("format"):  # its own declaration
                continue
            format_ = text_of(expression)
            assert format_ is not None, f"{path.name}: the message is no literal: {expression}"
            if CONVERSION.sub("", format_).strip():  # "%s" alone: it was made elsewhere
                yield format_


def expectations(path):
    """Every text in a test, adjacent literals joined."""
    text = path.read_text()
    if path.suffix == ".c":
        return ["".join(C_STRING.findall(run[0])).replace(r"\"", '"')
                for run in re.finditer(r'(?:"(?:[^"\\\n]|\\.)*"\s*)+', re.sub(r"/\*.*?\*/", "", text, flags=re.S))]
    return [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def as_pattern(format_):
    """What a format can say. What stands in it for a value may be anything, a text at its end also nothing."""
    fixed = [re.escape(part) for part in CONVERSION.split(format_)]
    return re.compile(".*?".join(fixed), re.S)


MESSAGES = sorted({format_ for path in CODE for format_ in formats_in(path)})


def test_the_messages_are_found():
    assert len(MESSAGES) > 45
    assert any("did you mean" in message for message in MESSAGES)


@pytest.fixture(scope="module")
def expected():
    return [text for path in READERS if path != Path(__file__) for text in expectations(path)]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_is_read_whole_by_a_test(message, expected):
    longest = max(CONVERSION.split(message), key=len)
    assert any(as_pattern(message).search(text) for text in expected if longest in text), f"no test expects {message!r}"
