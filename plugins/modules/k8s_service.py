#!/usr/bin/python
"""Deploy one service in Kubernetes and wait until it is ready."""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.facefleet.facefleet.plugins.module_utils.address import (
    check_node_ports,
    wait_for_address,
)
from ansible_collections.facefleet.facefleet.plugins.module_utils.cluster import (
    MANAGED_BY,
    Cluster,
    ServiceError,
    has_changed,
    last_applied,
    normalized,
    object_id,
)
from ansible_collections.facefleet.facefleet.plugins.module_utils.rollout import Rollout, ended

DOCUMENTATION = r"""
module: k8s_service
short_description: Deploy one service in Kubernetes and wait until it is ready
description:
  - Applies the service's manifests with the host's own kubectl, and waits until its pod is ready.
    If there is only a Service, waits until it answers.
  - If the service does not become ready, fails with its last events and log lines, and applies the
    former manifests again.
  - The modules of kubernetes.core are not used, because they need Python 3.9 and a client library
    on the target, where JetPack 5 has Python 3.8, and because they do not roll back.
author: The facefleet authors
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  kubectl:
    description: The kubectl command with its first arguments.
    type: list
    elements: str
    required: true
  namespace:
    description: The service's namespace.
    type: str
    required: true
  name:
    description: The service's name.
    type: str
    required: true
  manifests:
    description: The objects, in the order in which they are applied.
    type: list
    elements: dict
    required: true
  secret:
    description: The Secret as JSON. Empty for none.
    type: str
    default: ""
  ready_url:
    description: The pod's address that answers when it is ready. Only its port and path are used.
    type: str
    required: true
  port_variable:
    description: Name of the variable to suggest changing if a NodePort is already in use.
    type: str
  timeout:
    description: Seconds to wait.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Start the logger
  facefleet.facefleet.k8s_service:
    kubectl: [/usr/local/bin/k3s, kubectl]
    namespace: facefleet
    name: logger
    manifests: "{{ lookup('ansible.builtin.template', 'logger.yml.j2') | from_yaml_all }}"
    ready_url: http://0.0.0.0:8080/readyz
"""

WORKLOADS = ("Deployment", "StatefulSet")


def wait(cluster, items, params):
    """Wait for the applied objects. Raises ServiceError if they are not ready in time."""
    for item in items:
        if item["kind"] in WORKLOADS:
            Rollout(cluster, item["kind"], params["name"], params["ready_url"]).wait(
                params["timeout"]
            )
            return
    for item in items:
        if item["kind"] == "Service":
            wait_for_address(cluster, item["metadata"]["name"], params["timeout"])


def settled(items):
    """Return whether `items`, from the API, include a rollout that has ended."""
    workloads = [item for item in items if item["kind"] in WORKLOADS]
    return bool(workloads) and all(ended(item) for item in workloads)


def diagnostics(cluster, items, params):
    """Return the last events and log lines of a service, if any."""
    for item in items:
        if item["kind"] in WORKLOADS:
            return Rollout(cluster, item["kind"], params["name"], params["ready_url"]).diagnostics()
    return ""


def roll_back(cluster, changed, before, params):
    """Apply the previous objects again. Return a sentence."""
    former = [
        json.loads(last_applied(before[name])) for name in changed if last_applied(before.get(name))
    ]
    if not former:
        return "There is no former version to roll back to, so the failed one was kept."
    try:
        cluster.apply(former)
        wait(cluster, former, params)
    except ServiceError as problem:
        return f"It was rolled back, but the former version is not ready either: {problem}"
    return "It was rolled back: the former version is running and ready."


def delete_unused(cluster, name):
    """Delete configuration that the service's pods do not use (any more)."""
    kinds = "deployments,statefulsets,configmaps,secrets"
    items = cluster.get(kinds, f"--selector={selector(name)}")
    used = json.dumps([item["spec"]["template"] for item in items if "spec" in item])
    for item in items:
        if "spec" not in item and f'"{item["metadata"]["name"]}"' not in used:
            cluster.run("delete", item["kind"], item["metadata"]["name"])


def selector(name):
    return f"{MANAGED_BY},app.kubernetes.io/name={name}"


def dry_run(cluster, items, before, check_mode):
    """Return the result of applying each of `items`, by key. Raises ServiceError."""
    namespace = items[0]
    if object_id(namespace) not in before:
        if check_mode:
            return {object_id(item): item for item in items}
        cluster.apply([namespace])
    return cluster.apply(items, dry_run=True)


def difference(before, after):
    """Format for --diff, without secrets."""
    return {
        "before_header": object_id(after),
        "after_header": object_id(after),
        "before": text(before),
        "after": text(after),
    }


def text(item):
    return "" if item is None else json.dumps(normalized(item), indent=2, sort_keys=True) + "\n"


def main():
    module = AnsibleModule(
        argument_spec={
            "kubectl": {"type": "list", "elements": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "manifests": {"type": "list", "elements": "dict", "required": True},
            "secret": {"type": "str", "default": "", "no_log": True},
            "ready_url": {"type": "str", "required": True},
            "port_variable": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    cluster = Cluster(params["kubectl"], params["namespace"])
    secrets = [json.loads(params["secret"])] if params["secret"] else []
    # The namespace is the first of the manifests.
    items = [params["manifests"][0], *secrets, *params["manifests"][1:]]
    if module.check_mode and not cluster.is_available():
        module.exit_json(changed=True, msg="Kubernetes is not installed yet.")
    try:
        before = cluster.find(items)
        check_node_ports(cluster, items, before, params["port_variable"])
        after = dry_run(cluster, items, before, module.check_mode)
        changed = [name for name in after if has_changed(before.get(name), after[name])]
        diff = [difference(before.get(name), after[name]) for name in changed]
        if module.check_mode:
            module.exit_json(changed=bool(changed), diff=diff)
        if changed:
            cluster.apply(items)
        try:
            # A call of kubectl takes a second on a Jetson, so avoid it if possible.
            if changed or not settled(after.values()):
                wait(cluster, items, params)
        except ServiceError as problem:
            report = [str(problem), diagnostics(cluster, items, params)]
            if changed:
                report.append(roll_back(cluster, changed, before, params))
            raise ServiceError("\n".join(line for line in report if line)) from problem
        finally:
            delete_unused(cluster, params["name"])
    except ServiceError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=bool(changed), diff=diff)


if __name__ == "__main__":
    main()
