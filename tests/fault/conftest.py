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
