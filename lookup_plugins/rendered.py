# SPDX-License-Identifier: MIT
"""Render a template of the project where its text is used as a variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: rendered
short_description: Render templates as variables
description:
  - Returns the text of each template. Further keywords are variables that the template sees.
  - C(ansible.builtin.template) makes a deep copy of all variables of the host for each template. Describing the
    services takes one for each site, several times a run, and the copies were a quarter of what it computed.
options:
  _terms:
    description: >-
      The templates, found as C(ansible.builtin.template) finds them. What they include is looked for beside them.
    type: list
    elements: str
    required: true
"""


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return one text for each path; AnsibleError where there is no such file."""
        texts = []
        for term in terms:
            path = self.find_file_in_search_path(variables or {}, "templates", term)
            if not path:
                raise AnsibleError(f"the template {term} was not found")
            templar = self._templar.copy_with_new_env(
                available_variables={**(variables or {}), **kwargs}, searchpath=[str(Path(path).parent)]
            )
            text = trust_as_template(self._loader.get_text_file_contents(path))
            texts.append(str(templar.template(text, escape_backslashes=False)))
        return texts
