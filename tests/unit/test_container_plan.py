"""The plan of a converge: what every service comes to, and what of it there is already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from filter_plugins import container
from tests.support.actions import Action
from tests.support.load import load

module = load("roles/container/action_plugins/container_plan.py")
KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
CONFIGURATION: dict[str, Any] = {
    "directory": "/etc/toy", "test": ["true"], "signal": "HUP", "stamp": "stamp", "templates": ["toy.conf.j2"],
}  # fmt: skip
FOUND: dict[str, Any] = {"info": {"ServerVersion": "26"}, "images": [], "networks": [], "volumes": []}


@pytest.fixture
def role(tmp_path: Path) -> Path:
    """Write the role of a toy."""
    path = tmp_path / "roles/toy"
    (path / "templates").mkdir(parents=True)
    (path / "files").mkdir()
    texts = {
        "templates/Dockerfile.j2": "FROM {{ container_images.base.reference }}\nLABEL colour={{ colour }}\\n\n",
        "templates/core.Dockerfile.j2": "FROM {{ container_images.base.reference }}\n",
        "templates/base.Dockerfile.j2": "FROM scratch\n",
        "templates/toy.conf.j2": "colour {{ colour }}\n{{ 'a\\nb' }}\n",
        "files/start": "#!/bin/sh\n{{ as it is }}\n",
    }
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


def service(role: Path, **fields: Any) -> dict[str, Any]:
    """Return the toy, with an image that is built on two further ones."""
    one = {
        "name": "toy",
        "user": "toy",
        "networks": ["web"],
        "volumes": [{"name": "toys"}],
        "secrets": {"token": "canary"},
        "configuration": CONFIGURATION,
    }
    return {
        "name": "toy",
        "path": str(role),
        "image": {"templates": ["Dockerfile.j2"], "files": ["start"]},
        "further_images": [
            {"name": "base", "dockerfile": "base.Dockerfile.j2"},
            {"name": "core", "dockerfile": "core.Dockerfile.j2"},
        ],
        "contents": [{"image": "core", "source": "/served", "volume": "toys"}],
        "containers": [{**one, **fields}],
    }


def plan(declared: dict[str, Any], look: dict[str, Any] | None, **further: Any) -> Action:
    """Return the action for one service."""
    variables = {
        "container_services": [declared],
        "container_log_files": 3,
        "container_log_size": "5m",
        "container_users": {"toy": 640},
        "stack_name": "shop",
        "stack_data_dir": "/d",
        "stack_image_epoch": 1,
        "stack_installation_key": trust_as_template("{{ key_of_file }}"),
        "key_of_file": KEY,
        "colour": "teal",
        **further,
    }
    return Action(module, variables, **({} if look is None else {"look": look}))


def images(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the engine says of all images of a plan, once they are built."""
    return [
        {"RepoTags": [image["reference"]], "Labels": {"pressdock.digest": image["digest"]}}
        for image in found["images"].values()
    ]


def test_images_are_named_by_what_they_are_built_of(role: Path) -> None:
    found = plan(service(role), FOUND).run()
    assert found["changed"] is False
    assert found["missing"] == ["base", "core", "toy"]
    assert list(found["contexts"]) == ["base", "core", "toy"]
    base = found["images"]["base"]["reference"]
    assert base == f"shop/base:{found['images']['base']['digest']}"
    assert found["contexts"] == {
        "base": {"Dockerfile": "FROM scratch\n"},
        "core": {"Dockerfile": f"FROM {base}\n"},
        # A backslash of a Dockerfile is one.
        "toy": {"Dockerfile": f"FROM {base}\nLABEL colour=teal\\n\n", "start": "#!/bin/sh\n{{ as it is }}\n"},
    }


def test_what_was_planned_before_is_known_to_what_is_planned_now(role: Path) -> None:
    """In a further play of the same run, of a part of the stack."""
    (role / "templates/base.Dockerfile.j2").write_text("FROM {{ container_images.other.reference }}\n")
    found = plan(service(role), FOUND, container_images={"other": {"reference": "shop/other:0", "digest": "0"}}).run()
    assert found["contexts"]["base"] == {"Dockerfile": "FROM shop/other:0\n"}
    assert set(found["images"]) == {"other", "base", "core", "toy"}
    assert found["missing"] == ["base", "core", "toy"]


@pytest.mark.parametrize("further", [{"stack_image_epoch": 2}, {"colour": "red"}])
def test_another_epoch_or_content_is_another_image(role: Path, further: dict[str, Any]) -> None:
    before, after = (plan(service(role), FOUND, **more).run()["images"] for more in ({}, further))
    assert before["toy"]["digest"] != after["toy"]["digest"]


def test_contexts_of_images_that_are_there_are_not_handed_on(role: Path) -> None:
    first = plan(service(role), FOUND).run()
    found = plan(service(role), {**FOUND, "images": images(first)[:2]}).run()
    assert (found["missing"], list(found["contexts"])) == (["toy"], ["toy"])


class TestPart:
    """A run that is about some of the services: base, which has core beside it, toy on them, and another one."""

    @staticmethod
    def plan(role: Path, look: dict[str, Any] = FOUND, **arguments: Any) -> dict[str, Any]:
        """Plan the toy and, after it, another service with an image, a network and a volume of its own."""
        other = {
            **service(role, name="other", networks=["side"], volumes=[{"name": "others"}], secrets={}),
            "name": "other",
            "image": {"templates": ["Dockerfile.j2"]},
            "further_images": [],
            "contents": [],
        }
        planned = plan(service(role), look)
        planned.variables["container_services"] = [*planned.variables["container_services"], other]
        planned.plugin._task.args.update(arguments)
        return planned.run()

    def test_it_needs_what_its_images_are_built_from(self, role: Path) -> None:
        found = self.plan(role, only=["other"])
        assert found["missing"] == found["needed"] == list(found["contexts"]) == ["base", "other"]
        assert set(found["images"]) == {"base", "core", "toy", "other"}

    def test_it_needs_what_ships_contents(self, role: Path) -> None:
        assert self.plan(role, only=["toy"])["needed"] == ["base", "core", "toy"]

    def test_it_prepares_nothing_for_others(self, role: Path) -> None:
        found = self.plan(role, only=["other"])
        assert found["acting"] == ["other"]
        assert found["networks"] == ["side"]
        assert [volume["name"] for volume in found["volumes"]] == ["shop-others"]
        assert found["contents"] == []
        assert list(found["configurations"]) == ["other"]
        # All are compared: what is declared of the others is not removed.
        assert list(found["sealed"]) == ["toy", "other"]

    def test_all_images_are_made_for_none(self, role: Path) -> None:
        found = self.plan(role, only=[], all_images=True)
        assert found["missing"] == ["base", "core", "toy", "other"]
        assert (found["acting"], found["networks"], found["volumes"], found["contents"]) == ([], [], [], [])
        assert found["configurations"] == {}
        nothing = self.plan(role, only=[])
        assert (nothing["missing"], nothing["needed"], nothing["contexts"]) == ([], [], {})

    def test_a_whole_run_is_about_all(self, role: Path) -> None:
        found = self.plan(role)
        assert found["acting"] == ["toy", "other"]
        assert found["needed"] == ["base", "core", "toy", "other"]
        assert found["networks"] == ["side", "web"]


def test_a_template_that_cannot_be_rendered_is_named(role: Path) -> None:
    (role / "templates/Dockerfile.j2").write_text("{{ nowhere }}")
    with pytest.raises(AnsibleError, match=r"toy: template Dockerfile.j2: .*nowhere"):
        plan(service(role), FOUND).run()


def test_a_role_lies_beside_the_others_unless_it_says_where(role: Path) -> None:
    assert module.ActionModule._role({"name": "redis"}) == module.ROLE.parent / "redis"
    assert module.ActionModule._role({"name": "toy", "path": str(role)}) == role


def test_what_containers_need_is_collected(role: Path) -> None:
    found = plan(service(role), FOUND).run()
    assert found["networks"] == ["web"]
    assert found["volumes"] == [{"name": "shop-toys", "directory": "/d/volumes/toys", "owner": "toy"}]
    assert [content["path"] for content in found["contents"]] == [
        f"/d/volumes/toys/{found['images']['core']['digest']}"
    ]


def test_no_secret_is_returned(role: Path) -> None:
    found = plan(service(role), FOUND).run()
    assert "canary" not in str(found)
    (sealed,) = found["sealed"]["toy"]
    assert sealed["secrets_digest"] not in {"", "reloaded"}
    assert (
        sealed["secrets_digest"]
        != plan(service(role, secrets={"token": "x"}), FOUND).run()["sealed"]["toy"][0]["secrets_digest"]
    )
    assert plan(service(role, secrets=None), FOUND).run()["sealed"]["toy"][0]["secrets_digest"] == ""


@pytest.mark.parametrize(
    ("further", "look"),
    [
        ({"container_log_files": 4}, FOUND),
        ({"container_log_size": "6m"}, FOUND),
        ({"container_users": {"toy": 641}}, FOUND),
        ({"stack_data_dir": "/e"}, FOUND),
        ({"stack_name": "other"}, FOUND),
        ({"stack_image_epoch": 2}, FOUND),
        ({}, {**FOUND, "info": {"ServerVersion": "27"}}),
    ],
)
def test_whatever_decides_how_it_is_made_is_declared(role: Path, further: dict[str, Any], look: dict[str, Any]) -> None:
    before = plan(service(role), FOUND).run()["sealed"]["toy"][0]["declared"]
    assert plan(service(role), FOUND).run()["sealed"]["toy"][0]["declared"] == before
    assert plan(service(role), look, **further).run()["sealed"]["toy"][0]["declared"] != before


class TestConfigurations:
    """What a container is to load while it runs."""

    @pytest.mark.parametrize("reads", [None, [], ["a-digest", "another"]])
    def test_is_planned(self, role: Path, reads: Any) -> None:
        declared = {**CONFIGURATION, **({} if reads is None else {"reads": reads})}
        found = plan(service(role, configuration=declared), FOUND).run()
        # What is written as a line break in an expression is one.
        assert found["configurations"]["toy"]["files"] == {"toy.conf": "colour teal\na\nb\n"}
        assert list(found["configurations"]["toy"]["contents_states"]) == [found["contents"][0]["path"]]

    def test_is_left_alone_where_not_all_is_known_that_it_reads(self, role: Path) -> None:
        declared = {**CONFIGURATION, "reads": ["a-digest", ""]}
        assert plan(service(role, configuration=declared), FOUND).run()["configurations"] == {}

    def test_is_none_where_none_is_declared(self, role: Path) -> None:
        assert plan(service(role, configuration=None), FOUND).run()["configurations"] == {}


class TestEngine:
    """Who asks it, and what its answers mean."""

    @pytest.mark.parametrize("look", [None, {}])
    def test_is_asked_where_nobody_has_just_done_so(self, role: Path, look: Any) -> None:
        action = plan(service(role), look)
        action.answers = {"engine_look": [{"engine": FOUND}]}
        assert action.run()["engine"] == FOUND
        assert action.executed == [("engine_look", {"stack": "shop", "data_dir": "/d"})]

    def test_is_not_asked_again(self, role: Path) -> None:
        action = plan(service(role), FOUND)
        assert action.run()["engine"] == FOUND
        assert action.executed == []

    @pytest.mark.parametrize("answer", [{"failed": True, "msg": "no", "engine": FOUND}, {"unreachable": True}])
    def test_that_could_not_be_asked_ends_it(self, role: Path, answer: dict[str, Any]) -> None:
        action = plan(service(role), None)
        action.answers = {"engine_look": [answer]}
        assert action.run() == answer

    def test_volume_that_leads_elsewhere_fails(self, role: Path) -> None:
        volume = {"Name": "shop-toys", "Driver": "local", "Options": {"device": "/elsewhere"}}
        found = plan(service(role), {**FOUND, "volumes": [volume]}).run()
        assert set(found) == {"failed", "msg"}
        assert found["failed"]
        assert "shop-toys" in found["msg"]

    def test_containers_as_they_were_when_they_were_compared_are_settled(self, role: Path) -> None:
        first = plan(service(role), FOUND).run()
        record = container.container_record(first["sealed"]["toy"][0]["declared"], "f")
        look = {
            **FOUND,
            "images": images(first),
            "found": {"shop-toy": {"healthy": True, "fingerprint": "f"}},
            "records": {"shop-toy": record},
        }
        assert plan(service(role), look).run()["settled"] == ["toy"]
        assert plan(service(role), {**look, "images": []}).run()["settled"] == [], "its image has to be built"
        assert plan(service(role), {**look, "records": {}}).run()["settled"] == []

    def test_that_does_not_answer_has_nothing_that_is_settled(self, role: Path) -> None:
        """On a bare machine, in a check run: not even a service without containers."""
        declared = {**service(role), "containers": [], "contents": []}
        first = plan(declared, FOUND).run()
        assert plan(declared, {**FOUND, "images": images(first)}).run()["settled"] == ["toy"]
        assert plan(declared, {"info": None, "images": images(first)}).run()["settled"] == []
