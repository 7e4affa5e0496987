"""Whose certificates a run looks after, and what is known of them afterwards, as a playbook does it on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from filter_plugins.certificates import certificate_stores, of_tagged_roles

ROOT = Path(__file__).resolve().parents[2]
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


def tasks(path: str) -> Any:
    """Return the tasks of a file, or the play of site.yml that runs the services."""
    content = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return next(play for play in content if play.get("name") == "Run the services") if path == "site.yml" else content


def converge(
    folder: Path, *options: str, stack_ftp: bool = True, alone: bool = True, **given: str
) -> tuple[str, dict[str, Any]]:
    """Run what site.yml and the service roles say of certificates in a check run; return the output and the result.

    :param alone: whether the roles run too.
    :param given: the operator's own pair, for both services.
    """
    (block,) = (one for one in tasks("site.yml")["pre_tasks"] if one["name"] == "Compare and prepare")
    role = folder / "roles" / "services" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(yaml.safe_dump([tasks(f"roles/{name}/tasks/main.yml")[0] for name in ("nginx", "ftp")]))
    note = {"content": "{{ certificates_result | default({}) | to_json }}", "dest": str(folder / "result.json")}
    play = {
        "hosts": "stack",
        "gather_facts": False,
        "vars": {
            f"__{name}_certificate_store": {
                "name": name,
                "directory": str(folder / name),
                "owner": "www-data",
                "certificates": [{"name": "shop", "domains": [f"{name}.test"], **given}],
            }
            for name in ("nginx", "ftp")
        },
        "pre_tasks": [{**block, "block": block["block"][:1]}],
        "roles": [{"role": "services", "tags": ["always"]}] if alone else [],
        "post_tasks": [{"ansible.builtin.copy": note, "check_mode": False, "tags": ["always"]}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
    variables = {
        "stack_data_dir": str(folder),
        "stack_ftp": stack_ftp,
        "container_users": {"www-data": os.getuid()},
        "ansible_become": False,
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(folder / "play.yml"), "--check", "-vvv", *options,
         "--extra-vars", json.dumps(variables)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            # The play has no task with the tags that it is given.
            "ANSIBLE_CALLBACKS_ENABLED": "preload",
            # What a module was given is shown, too.
            "ANSIBLE_INJECT_INVOCATION": "true",
            "ANSIBLE_ROLES_PATH": f"{ROOT}/roles:{folder}/roles",
        },
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output, json.loads((folder / "result.json").read_text(encoding="utf-8"))


ISSUED = "TASK [certificates : Certificates | Issue what is missing, broken or about to expire]"


def test_one_run_of_the_module_is_for_all_services(tmp_path: Path) -> None:
    """The roles find that theirs were looked after. Nobody sees a key, however much is printed."""
    key, certificate = tmp_path / "own.key", tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
         "-days", "2", "-addext", "subjectAltName=DNS:*.test", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    output, result = converge(tmp_path, certificate=certificate.read_text(), key=key.read_text())
    assert output.count(ISSUED) == 1
    assert certificate.read_text().splitlines()[1] in output
    assert key.read_text().splitlines()[1] not in output
    assert {name: list(store["certificates"]) for name, store in result["stores"].items()} == {
        "nginx": ["shop"],
        "ftp": ["shop"],
    }


def test_tags_leave_the_others_alone_and_a_role_by_itself_looks_after_its_own(tmp_path: Path) -> None:
    """What was known before stays known."""
    output, result = converge(tmp_path, "--tags", "nginx")
    first, second = (text.partition("\nTASK [")[0] for text in output.split(ISSUED)[1:])
    assert "nginx.test" in first
    assert "ftp.test" not in first
    assert "ftp.test" in second
    assert "nginx.test" not in second
    assert set(result["stores"]) == {"nginx", "ftp"}


def test_service_that_is_switched_off_needs_none(tmp_path: Path) -> None:
    _, result = converge(tmp_path, stack_ftp=False, alone=False)
    assert set(result["stores"]) == {"nginx"}
