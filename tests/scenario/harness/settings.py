"""The daemon's settings and options as it tells them itself, and which of them a scenario has set."""
import functools
import re
from pathlib import Path

from . import node


class Setting:
    def __init__(self, name, option, default):
        self.name, self.option, self.default = name, option, default

    def set_by(self, line):
        """Does this command line, or the file that it names, set it to something else than its default?"""
        words = [word for word in line for word in word.split("=", 1)] if self.option else []
        values = [value for option, value in zip(words, words[1:]) if option == self.option]
        file = next((Path(value) for option, value in zip(line, line[1:]) if option == "--config"), None)
        if file and file.is_file():
            values += re.findall(rf"\b{re.escape(self.name.rsplit('.')[-1])}: *([^\s,}}]+)", file.read_text())
        return any(value != self.default for value in values)


class Question:
    """An option that is not a setting, such as --check."""

    def __init__(self, option):
        self.name = self.option = option

    def set_by(self, line):
        return any(word.split("=")[0] == self.option for word in line)


@functools.lru_cache
def everything():
    """{name: Setting or Question}, from --explain and --help."""
    found = {}
    for entry in node.run("--explain").stdout.strip().split("\n\n"):
        name, rest = entry.split("\n", 1)
        option = re.search(r"^  option +(--[\w-]+)", rest, re.M)
        default = " ".join(re.search(r"^  default +(.*?)(?=^  \S|\Z)", rest, re.M | re.S)[1].split())
        found[name] = Setting(name, option and option[1], default)
    options = {each.option for each in found.values()}
    for option in re.findall(r"^  (?:-\w, )?(--[\w-]+)", node.run("--help").stdout, re.M):
        if option not in options:
            found[option] = Question(option)
    return found


def assert_set(names, lines):
    """Fails for a setting that none of these command lines has set."""
    for name in names:
        assert name in everything(), f"the mark names {name}, which is no setting"
        assert any(everything()[name].set_by(line) for line in lines), \
            f"the scenario is marked for {name}, and leaves it at its default"
