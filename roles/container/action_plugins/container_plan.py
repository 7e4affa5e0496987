# SPDX-License-Identifier: MIT
"""Work out, on the controller, what the declared services come to, and compare it with what the engine has.

One task in place of a loop of them: every service's build context is rendered and digested, the engine is asked once
(unless it has just been), and each container's declaration is compared with the record of its last comparison.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from filter_plugins import configuration, container, ownership
from filter_plugins.contents import planned_contents
from filter_plugins.secrets import keyed_digest
from module_utils import engine_api

ROLE = Path(__file__).resolve().parents[1]


class ActionModule(ActionBase):
    """Takes `look`: what `engine_look` has returned a moment ago, empty if nobody has asked.

    Of a run that is about some services alone, `only` names them: the others are compared, for theirs is the stack as
    well, but nothing is prepared for them. With `all_images` all images count. Of a run that is about the `whole` stack
    a container with its label that nobody declares has no right to what a declared one claims.

    Uses the variable `container_services` and what the services' templates name. Fails where a volume is another than
    declared, where its data are not where they were, and where somebody else writes in a directory that one container
    has for itself. Returns no secrets:

    - images: name of an image, which is that of its service if it has one image alone, to ``{reference, digest}``;
    - acting: names of the services that the run is about;
    - needed: names of the images that these need, with those that they are built from;
    - contexts: name to its build context, of those needed images that the engine lacks;
    - sealed: service name to its containers, with a digest in place of their secrets, and the digest of what each is
      declared to be;
    - contents: what images ship to the services' volumes (`planned_contents`);
    - configurations: container name to what it is to load while it runs (`planned_configuration`);
    - settled: names of the services whose containers are as they were when they were last compared, and healthy;
    - networks, volumes: what the services' containers need;
    - steps: what has to be done first, so that each container has its own name, and nobody else claims what is its own;
    - present: short name of a container to what it is called before these steps, if that is another name;
    - engine: what the engine has, after these steps.
    """

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Plan and compare."""
        super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        images: dict[str, Any] = dict(self._templar.template(variables.get("container_images") or {}))
        # What is planned first is named by what comes later (FROM, COPY --from).
        variables["container_images"] = images
        templar = self._templar.copy_with_new_env(available_variables=variables)
        services = templar.template(variables["container_services"])
        stack, data_dir, epoch, key, users = (
            templar.template(variables[name])
            for name in (
                "stack_name",
                "stack_data_dir",
                "stack_image_epoch",
                "stack_installation_key",
                "container_users",
            )
        )
        only = self._task.args.get("only")
        acting = [service for service in services if only is None or service["name"] in only]
        contexts: dict[str, dict[str, str]] = {}
        for service, image in container.service_images(services):
            name = image["name"]
            contexts[name] = self._context(service, image, variables)
            digest = container.context_digest(contexts[name], str(epoch))
            images[name] = {"reference": f"{stack}/{name}:{digest}", "digest": digest}

        contents, configurations = [], {}
        for service in acting:
            name = service["name"]
            shipped = planned_contents(service, images, stack, data_dir)
            contents += shipped
            for one in service["containers"]:
                # One that loads what is not known in this run (of other parts of the stack) is left as it is.
                if one.get("configuration") and all(one["configuration"].get("reads") or []):
                    texts = self._rendered(service, one["configuration"]["templates"], variables)
                    configurations[one["name"]] = configuration.planned_configuration(
                        name, one, texts, key, [content["path"] for content in shipped]
                    )

        engine = self._task.args.get("look") or {}
        if not engine:
            result = self._execute_module(
                module_name="engine_look", module_args={"stack": stack, "data_dir": data_dir}, task_vars=task_vars
            )
            if result.get("failed") or "engine" not in result:
                return dict(result)
            engine = result["engine"]
        answers = bool(engine.get("info"))
        volumes = container.container_volumes(acting, stack, data_dir)
        problems = container.misplaced_volumes(volumes, engine.get("volumes") or [], stack)
        problems += ownership.lost_data(volumes, engine)
        own = [one for service in acting for one in service["containers"]]
        problems += ownership.foreign_writers(own, engine, stack, data_dir)
        if problems:
            return {"failed": True, "msg": "\n".join(problems)}
        steps = ownership.Reclaim(own, engine, stack, data_dir).run(whole=bool(self._task.args.get("whole")))
        engine = ownership.engine_after(engine, steps)
        names = [service["name"] for service in services]
        needed = container.needed_images(services if self._task.args.get("all_images") else acting, images, contexts)
        missing = container.missing_images({name: images[name] for name in needed}, engine.get("images") or [])

        common = [stack, data_dir, users, engine.get("info"), self._options(templar, variables)]
        sealed: dict[str, list[dict[str, Any]]] = {}
        for service in services:
            digests = [keyed_digest(one.get("secrets") or {}, key) for one in service["containers"]]
            sealed[service["name"]] = container.declared_containers(
                container.sealed_containers(service["containers"], digests), images[service["name"]], common
            )
        settled = [name for name in names if name not in missing and container.is_settled(sealed[name], stack, engine)]
        return {
            "changed": False,
            "acting": [service["name"] for service in acting],
            "images": images,
            "needed": needed,
            "contexts": {name: contexts[name] for name in missing},
            "contents": contents,
            "configurations": configurations,
            "missing": missing,
            "sealed": sealed,
            "settled": settled if answers else [],
            "networks": container.container_networks(acting),
            "volumes": volumes,
            "steps": steps,
            "present": {step["container"]: step["present"] for step in steps if step["action"] == "rename"},
            "engine": engine,
        }

    def _context(
        self, service: Mapping[str, Any], image: Mapping[str, Any], variables: dict[str, Any]
    ) -> dict[str, str]:
        """Return the rendered build context of one of a service's images: file name to text."""
        context = self._rendered(service, image.get("templates") or [], variables)
        if image.get("dockerfile"):
            (context["Dockerfile"],) = self._rendered(service, [image["dockerfile"]], variables).values()
        for name in image.get("files") or []:
            context[name] = self._loader.get_text_file_contents(str(self._role(service) / "files" / name))
        return context

    @staticmethod
    def _role(service: Mapping[str, Any]) -> Path:
        """Return the directory of a service's role."""
        return Path(service.get("path") or ROLE.parent / service["name"])

    def _rendered(
        self, service: Mapping[str, Any], templates: Iterable[str], variables: dict[str, Any]
    ) -> dict[str, str]:
        """Return templates of a service's role, rendered: file name (without the suffix .j2) to text."""
        role = self._role(service)
        templar = self._templar.copy_with_new_env(
            available_variables=variables,
            # Its own templates, then this role's macros.
            searchpath=[str(role / "templates"), str(ROLE / "templates")],
        )
        texts = {}
        for name in templates:
            text = self._loader.get_text_file_contents(str(role / "templates" / name))
            try:
                texts[name.removesuffix(".j2")] = str(
                    templar.template(trust_as_template(text), escape_backslashes=False)
                )
            except AnsibleError as error:
                raise AnsibleError(f"{service['name']}: template {name}: {error}") from error
        return texts

    @staticmethod
    def _options(templar: Any, variables: Mapping[str, Any]) -> list[Any]:
        """Return what else decides how a container is made: the task that makes it, and what it is written with."""
        made_by = [ROLE / "tasks" / "start.yml", Path(container.__file__), Path(engine_api.__file__)]
        names = ("container_log_files", "container_log_size")
        return [
            *(path.read_text(encoding="utf-8") for path in made_by),
            *(str(templar.template(variables[name])) for name in names),
        ]
