#!/usr/bin/python
"""Delete services in Kubernetes that are no longer in the inventory."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.facefleet.facefleet.plugins.module_utils.cluster import (
    MANAGED_BY,
    Cluster,
    ServiceError,
    object_id,
)

DOCUMENTATION = r"""
module: k8s_prune
short_description: Delete the services in Kubernetes that the inventory no longer has
description:
  - Deletes the objects that the module k8s_service created for services that are not in O(keep).
  - The volume of a service's state is kept, because it may hold faces. Each run warns about it.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  kubectl:
    description: The kubectl command with its first arguments.
    type: list
    elements: str
    required: true
  namespace:
    description: The services' namespace.
    type: str
    required: true
  keep:
    description: The names of the services to keep.
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

# Workloads first, because their pods use the other objects.
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
    if module.check_mode and not cluster.is_available():
        module.exit_json(changed=False)
    try:
        gone = [item for kind in KINDS for item in cluster.get(kind, selector)]
        volumes = cluster.get("persistentvolumeclaims", selector)
        kept = [claim for claim in volumes if claim["spec"]["storageClassName"]]
        # Volumes of the host's folders: deleting them does not delete the folders.
        gone += [claim for claim in volumes if claim not in kept]
        gone += cluster.get("persistentvolumes", selector)
        if gone and not module.check_mode:
            cluster.run("delete", "--filename=-", "--wait=false", items=gone)
    except ServiceError as problem:
        module.fail_json(msg=str(problem))
    for claim in kept:
        name = claim["metadata"]["name"]
        module.warn(
            f"The volume {name} of a service that is no longer in the inventory was kept, because "
            "it may hold faces. They are sent if the service is added again. To delete the volume: "
            f"k3s kubectl --namespace {module.params['namespace']} delete pvc {name}"
        )
    module.exit_json(changed=bool(gone), deleted=[object_id(item) for item in gone])


if __name__ == "__main__":
    main()
