"""Fixtures of the scenarios: an origin, a node in front of it, and a limit on how long a scenario may take."""
import faulthandler
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.node import BIN_DIR, ROOT, Node, command_lines  # noqa: E402
from harness.origin import Origin  # noqa: E402
from harness.settings import assert_set  # noqa: E402
from harness.waiting import PATIENCE  # noqa: E402

SCENARIO_SECONDS = 60


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the scenarios at full size, too")


def bring_up_to_date():
    """What deploy/up starts it builds first: a program that is out of date would be replaced while others run it."""
    if BIN_DIR == ROOT / "build" and (BIN_DIR / "CMakeCache.txt").exists() and shutil.which("cmake"):
        done = subprocess.run(["cmake", "--build", BIN_DIR, "--target", "selvedge", "selvedgectl"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.exit(f"the build failed:\n{done.stdout}{done.stderr}", 1)


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # before those who share the work
        bring_up_to_date()
    config.addinivalue_line("markers", "slow: full size, only with --slow")
    config.addinivalue_line("markers", "patient(seconds): may take longer than the usual minute")
    config.addinivalue_line("markers", "setting(name...): sets these away from their defaults and sees what that does")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="full size: --slow"))


class TookTooLong(Exception):
    pass


@pytest.fixture(autouse=True)
def limit(request):
    """A scenario that hangs fails with every thread's stack printed; its node is ended like any other."""
    marker = request.node.get_closest_marker("patient")
    seconds = PATIENCE * (marker.args[0] if marker else SCENARIO_SECONDS)

    def stop(*_):
        faulthandler.dump_traceback(sys.__stderr__)
        raise TookTooLong(f"{seconds:g} s")
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture(autouse=True)
def marked_settings(request):
    """What a scenario is marked for (test_settings_map.py), it has set."""
    command_lines.clear()
    yield
    assert_set([name for marker in request.node.iter_markers("setting") for name in marker.args], list(command_lines))


@pytest.fixture
def start_node(tmp_path):
    """start_node(origin, option=value...): a node with its own state directory. All are finished at the end."""
    nodes = []

    def start(origin=None, **options):
        options.setdefault("state_dir", str(tmp_path / f"state{len(nodes)}"))
        node = Node(origin, **options)
        nodes.append(node)
        return node
    yield start
    try:
        for node in nodes:
            node.finish()
    finally:
        for node in nodes:
            node.kill()


@pytest.fixture
def start_site(start_node, origin, tmp_path):
    """start_site(setting=value...): a node with one site that has these; `start_site.again(...)` reloads it with others, and
    tells what has changed."""
    path = tmp_path / "node.yaml"

    def write(**more):
        site = {"name": "a", "hosts": ["localhost"], "origin": {"url": origin.url}, **more}
        path.write_text(re.sub(r'"(\w+)":', r"\1:", json.dumps({"sites": [site]}, indent=1)))

    def start(**more):
        write(**more)
        start.node = start_node(config=path)
        return start.node

    def again(**more):
        write(**more)
        answer = start.node.admin("POST", "/v1/reload").json
        assert answer["in_force"], answer
        return answer["changed"]
    start.again = again
    return start


@pytest.fixture
def public_dir():
    """A directory that another user can reach, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="selvedge-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def origin(start_node):
    """The scripted origin. It ends before the nodes do, so that what they still wait for fails."""
    origin = Origin()
    yield origin
    origin.close()
    assert not origin.failures, origin.failures


@pytest.fixture
def node(start_node, origin):
    """A node with the defaults in front of the scripted origin."""
    return start_node(origin)


@pytest.fixture(params=["h1", "h2"])
def client(request, node):
    """A client of the node: the scenario is told once over HTTP/1.1 and once over HTTP/2 with TLS."""
    return node.h1() if request.param == "h1" else node.h2()
