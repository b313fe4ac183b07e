#!/usr/bin/python
"""Delete services in Kubernetes that are no longer in the inventory."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.facefleet.facefleet.plugins.module_utils.cluster import (
    MANAGED_BY,
    Cluster,
    NotUpError,
    key,
)

DOCUMENTATION = r"""
module: k8s_prune
short_description: Delete the services in Kubernetes that the inventory no longer has
description:
  - Deletes what the module k8s_service made for services that are not among O(keep).
  - The volume of a service's state is kept, and named in a warning each time, as it may hold faces.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  kubectl:
    description: The command of kubectl, and its first arguments.
    type: list
    elements: str
    required: true
  namespace:
    description: The services' namespace.
    type: str
    required: true
  keep:
    description: The names of the services that stay.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Delete all services but two
  facefleet.facefleet.k8s_prune:
    kubectl: [/usr/local/bin/k3s, kubectl]
    namespace: facefleet
    keep: [broker, processor]
"""

# Workloads first: their pods hold the rest.
KINDS = ("statefulsets", "deployments", "services", "networkpolicies", "configmaps", "secrets")


def main():
    module = AnsibleModule(
        argument_spec={
            "kubectl": {"type": "list", "elements": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "keep": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    cluster = Cluster(module.params["kubectl"], module.params["namespace"])
    keep = ",".join(module.params["keep"])
    selector = f"--selector={MANAGED_BY},app.kubernetes.io/name notin ({keep})"
    if module.check_mode and not cluster.there():
        module.exit_json(changed=False)
    try:
        gone = [item for kind in KINDS for item in cluster.get(kind, selector)]
        volumes = cluster.get("persistentvolumeclaims", selector)
        kept = [claim for claim in volumes if claim["spec"]["storageClassName"]]
        # What it read of the host's folders: only the way there is deleted.
        gone += [claim for claim in volumes if claim not in kept]
        gone += cluster.get("persistentvolumes", selector)
        if gone and not module.check_mode:
            cluster.run("delete", "--filename=-", "--wait=false", items=gone)
    except NotUpError as problem:
        module.fail_json(msg=str(problem))
    for claim in kept:
        name = claim["metadata"]["name"]
        module.warn(
            f"The volume {name} of a service that is no longer in the inventory was kept, for it "
            "may hold faces. They are sent when the service is back; or delete it: "
            f"k3s kubectl --namespace {module.params['namespace']} delete pvc {name}"
        )
    module.exit_json(changed=bool(gone), deleted=[key(item) for item in gone])


if __name__ == "__main__":
    main()
