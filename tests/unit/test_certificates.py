"""Whose certificates a run looks after, and for which user."""

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.certificates import certificate_stores, of_tagged_roles

DECLARED = [{"name": "nginx"}, {"name": "ftp"}]


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "names"),
    [
        (["all"], [], ["nginx", "ftp"]),
        (["tagged"], [], ["nginx", "ftp"]),
        (["nginx"], [], ["nginx"]),
        (["mariadb", "ftp"], [], ["ftp"]),
        (["images"], [], []),
        (["always"], [], []),
        (["untagged"], [], []),
        (["all"], ["ftp"], ["nginx"]),
        (["nginx"], ["nginx"], []),
        (["all"], ["tagged"], []),
    ],
)
def test_tags_say_which_roles_a_run_is_about(run_tags: list[str], skip_tags: list[str], names: list[str]) -> None:
    """Ansible's own answer to each, for a role with its name as the only tag."""
    assert [one["name"] for one in of_tagged_roles(DECLARED, run_tags, skip_tags)] == names


def test_owners_become_ids() -> None:
    declared = {"name": "nginx", "directory": "/d", "owner": "web", "certificates": []}
    assert certificate_stores([declared], {"web": 612, "other": 613}) == [
        {"name": "nginx", "directory": "/d", "uid": 612, "gid": 612, "certificates": []}
    ]
    assert declared["owner"] == "web"
    with pytest.raises(AnsibleFilterError, match="nginx: 'web' is none of base_image_users"):
        certificate_stores([declared], {"other": 613})
