"""What group_vars/all/wiring.yml and the playbooks pass from one role to another."""

from __future__ import annotations

from filter_plugins.wiring import kept_data


def test_kept_data_is_grouped_by_what_it_belonged_to() -> None:
    volumes = {"site-market": "/srv/s/sites/market/wp-content", "static-licence": "/srv/s/static/licence"}
    assert kept_data(volumes, ["wharf_market", "of_somebody"], "wharf_") == {
        "market": {"volumes": {"site-market": "/srv/s/sites/market/wp-content"}, "databases": ["wharf_market"]},
        "static-licence": {"volumes": {"static-licence": "/srv/s/static/licence"}, "databases": []},
        "of_somebody": {"volumes": {}, "databases": ["of_somebody"]},
    }
    assert kept_data({}, [], "wharf_") == {}
