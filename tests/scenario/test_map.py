"""tests/README.md maps every promise to its test: each that it names exists, and no row is empty."""
import re

from harness.node import ROOT

MAP = (ROOT / "tests/README.md").read_text()
MUTANTS = [path.stem for path in (ROOT / "tests/mutants").glob("*.patch")]


def rows():
    """The cells of every row of a table; those that head a group have one."""
    for line in MAP.splitlines():
        if line.startswith("|") and not set(line) <= set("|- "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_no_row_is_empty():
    for cells in rows():
        assert cells[0].startswith("**") or all(cells), cells


def test_every_named_test_exists():
    named = re.findall(r"`([us])/(\w+)(?:\.py)?(?:::(\w+))?`", MAP)
    assert len(named) > 100
    for kind, file, test in named:
        path = ROOT / "tests" / ("unit" if kind == "u" else "scenario") / (file + (".c" if kind == "u" else ".py"))
        assert path.exists(), path
        assert not test or re.search(rf"\b{test}\b", path.read_text()), f"no {test} in {path.name}"


def test_every_named_file_and_mutant_exists():
    for name, test in re.findall(r"`((?:tests|deploy|\.ci)/[\w./-]+)(?:::(\w+))?(?: [^`]*)?`", MAP):
        assert (ROOT / name.removesuffix("/")).exists(), name
        assert not test or f"def {test}(" in (ROOT / name).read_text(), f"no {test} in {name}"
    for prefix in re.findall(r"`([\w-]+)-\*`", MAP):
        assert any(name.startswith(prefix + "-") for name in MUTANTS), f"no mutant {prefix}-*"
