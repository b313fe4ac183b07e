"""Access to Kubernetes through its own kubectl: read, dry-run and apply objects."""

import copy
import json
import pathlib
import subprocess

from ansible_collections.facefleet.facefleet.plugins.module_utils.host import ServiceError

MANAGED_BY = "app.kubernetes.io/managed-by=facefleet"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Metadata that the API adds itself.
ITS_OWN = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
ITS_ANNOTATIONS = (APPLIED, "deployment.kubernetes.io/revision")


def object_id(item):
    """Return an object's key in a namespace, such as Service/broker."""
    return f"{item['kind']}/{item['metadata']['name']}"


def normalized(item):
    """Return an object as the inventory describes it, with secrets hidden; None stays None."""
    if item is None:
        return None
    item = copy.deepcopy(item)
    item.pop("status", None)
    metadata = item["metadata"]
    for name in ITS_OWN:
        metadata.pop(name, None)
    annotations = metadata.get("annotations", {})
    for name in ITS_ANNOTATIONS:
        annotations.pop(name, None)
    if not annotations:
        metadata.pop("annotations", None)
    if item["kind"] == "Secret":
        item["data"] = dict.fromkeys(item["data"], "hidden")
    return item


def has_changed(before, after):
    """Return whether applying would change an object: its visible state, or its manifest."""
    return normalized(before) != normalized(after) or last_applied(before) != last_applied(after)


def last_applied(item):
    """Return the manifest that kubectl last applied, as kept in the object, or None."""
    return ((item or {}).get("metadata", {}).get("annotations") or {}).get(APPLIED)


class Cluster:
    """A namespace of a cluster, accessed by kubectl (a command with its first arguments)."""

    def __init__(self, kubectl, namespace):
        self._kubectl = kubectl
        self._namespace = namespace

    def run(self, *arguments, items=None, namespace=True):
        """Return the output of a kubectl command. Raises ServiceError with its error."""
        command = [*self._kubectl, *arguments]
        if namespace:
            command += ["--namespace", self._namespace]
        text = None if items is None else json.dumps(as_list(items))
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ServiceError(f"{command[0]} cannot be run: {error.strerror}.") from error
        if done.returncode:
            raise ServiceError(f"Kubernetes rejects the request: {done.stderr.strip()}")
        return done.stdout

    def is_available(self):
        """Return whether Kubernetes responds."""
        if not pathlib.Path(self._kubectl[0]).exists():
            return False
        try:
            self.run("get", "--raw=/version", namespace=False)
        except ServiceError:
            return False
        return True

    def read(self, *arguments, **options):
        """Return the objects in a command's output. Raises ServiceError."""
        text = self.run(*arguments, "--output=json", **options).strip()
        if not text:
            return []
        answer = json.loads(text)
        return answer["items"] if answer["kind"].endswith("List") else [answer]

    def get(self, *arguments):
        """Return the objects of a kind, a name or a selector. Raises ServiceError."""
        return self.read("get", *arguments, "--ignore-not-found")

    def find(self, items):
        """Return those of `items` that exist, by key. Raises ServiceError."""
        found = self.read("get", "--filename=-", "--ignore-not-found", items=items)
        return {object_id(item): item for item in found}

    def apply(self, items, dry_run=False):
        """Apply `items` and return the results by key. Raises ServiceError.

        Not server-side apply: this one keeps in each object the manifest that was applied, which
        is what a roll back needs.
        """
        arguments = ["apply", "--filename=-", *(["--dry-run=server"] if dry_run else [])]
        return {object_id(item): item for item in self.read(*arguments, items=items)}


def as_list(items):
    return {"apiVersion": "v1", "kind": "List", "items": items}
