"""Import what is no module of a package: Ansible's plugins and modules, and scripts."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.support.runs import PROJECT


def load(path: str, name: str = "") -> ModuleType:
    """Import a file of the project under a name, by which others (and its own data classes) find it.

    :param path: below the project's directory.
    :param name: for example the one that Ansible gives a module utility on a target; otherwise the file's own.
    """
    file = PROJECT / path
    spec = importlib.util.spec_from_file_location(name or file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
