# SPDX-License-Identifier: MIT
"""Filters of group_vars/all/wiring.yml: one role's data in the form that another role takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def nginx_sites(sites: Mapping[str, Mapping[str, Any]], upload_limit: str, content: str) -> dict[str, dict[str, Any]]:
    """Say what the web server has to know of the WordPress sites.

    :param sites: ``wordpress_sites``.
    :param upload_limit: largest upload of a site that declares none (bytes with a unit).
    :param content: directory below which each site's wp-content lies.
    :return: ``nginx_sites``, see roles/nginx/meta/argument_specs.yml.
    """
    return {
        name: {
            "domain": site["domain"],
            "aliases": list(site.get("aliases", [])),
            "upstream": f"wordpress-{name}:9000",
            "content": f"{content}/{name}/wp-content",
            "upload_limit": site.get("upload_limit", upload_limit),
            **({"tls": dict(site["tls"])} if site.get("tls") else {}),
        }
        for name, site in sites.items()
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"nginx_sites": nginx_sites}
