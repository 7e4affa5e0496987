"""Import what is no module of a package: Ansible's plugins and modules, and scripts."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from tests.support.runs import PROJECT

# On a target module_utils have these names.
for _file in sorted((PROJECT / "module_utils").glob("*.py")):
    sys.modules[f"ansible.module_utils.{_file.stem}"] = importlib.import_module(f"module_utils.{_file.stem}")


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
