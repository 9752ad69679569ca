"""The scenarios' fixtures and harness, for faults as well."""
import importlib.util
import sys
from pathlib import Path

SCENARIO = Path(__file__).resolve().parents[1] / "scenario"
spec = importlib.util.spec_from_file_location("scenario_conftest", SCENARIO / "conftest.py")
scenario_conftest = importlib.util.module_from_spec(spec)
sys.modules["scenario_conftest"] = scenario_conftest
spec.loader.exec_module(scenario_conftest)

from scenario_conftest import (limit, node, origin, pytest_addoption, pytest_collection_modifyitems,  # noqa: E402,F401
                               pytest_configure, start_node)
import pytest  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent / "h2"))
ROWS = pytest.StashKey()


def pytest_sessionstart(session):
    session.config.stash[ROWS] = []


@pytest.fixture
def table(request):
    """Rows of what each attack did, printed at the end."""
    return request.config.stash[ROWS]


@pytest.fixture
def start_bare(tmp_path):
    """start_bare(origin, option=value...): a node whose guard is off. What becomes of it is the test's to judge."""
    from harness.node import Node
    nodes = []

    def start(origin, **options):
        nodes.append(Node(origin, state_dir=str(tmp_path / f"bare{len(nodes)}"), env={"SELVEDGE_TEST_GUARD": "off"}, **options))
        return nodes[-1]
    yield start
    for node in nodes:
        node.kill()


def pytest_terminal_summary(terminalreporter, config):
    from neighbour import COLUMNS, SEED
    rows = [tuple(map(str, row)) for row in (COLUMNS, *config.stash[ROWS])]
    widths = [max(map(len, column)) for column in zip(*rows)]
    terminalreporter.section(f"attacks, SELVEDGE_FAULT_SEED={SEED}")
    for row in rows:
        terminalreporter.line("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
