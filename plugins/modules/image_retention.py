#!/usr/bin/python
"""Keep the required images and the previous one of each service in k3s's containerd."""

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: image_retention
short_description: Keep the required images and the previous one of each service
description:
  - Fails if a required image is missing, or is for another architecture.
  - Pins the required images, so that the kubelet does not remove them when the disk fills up,
    because a device must start without a network. Also records their order.
  - Removes older images of the same services, except the previous one and those in use.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  k3s:
    description: The k3s command.
    type: path
    required: true
  names:
    description: The required images, by their names in containerd.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Pin the images of the fleet
  facefleet.facefleet.image_retention:
    k3s: /usr/local/bin/k3s
    names:
      - docker.io/library/facefleet-detector:0123456789ab
"""

ORDER = "facefleet.order"  # a counter, because a device's clock may stop or jump
PINNED = "io.cri-containerd.pinned"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Image:
    """Parse a line of `ctr images ls`."""

    def __init__(self, line):
        fields = line.split()  # the size is two: a number and its unit
        self.name, self.digest, self.platforms = fields[0], fields[2], fields[5]
        self.labels = dict(label.split("=", 1) for label in fields[6].split(",") if "=" in label)
        self.service = self.name.rsplit(":", 1)[0]
        self.order = int(self.labels.get(ORDER, 0))


class Keeper:
    def __init__(self, module):
        self.module = module
        self.images = [Image(line) for line in self.ctr("images", "ls").splitlines()[1:]]
        self.machine = self.run(["uname", "-m"]).strip()
        self.changed = False

    def run(self, command):
        return self.module.run_command(command, check_rc=True)[1]

    def ctr(self, *arguments):
        return self.run([self.module.params["k3s"], "ctr", *arguments])

    def change(self, *arguments):
        self.changed = True
        if not self.module.check_mode:
            self.ctr(*arguments)

    def keep(self, name):
        wanted = next((image for image in self.images if image.name == name), None)
        if wanted is None:
            self.module.fail_json(
                msg=f"The image {name} is missing although it was installed: run this again."
            )
        platform = "linux/" + ARCHITECTURES.get(self.machine, self.machine)
        if platform not in wanted.platforms:
            self.module.fail_json(
                msg=f"The image {name} is for {wanted.platforms}, but this machine is {platform}: "
                "use an image for its architecture."
            )
        others = [i for i in self.images if i.service == wanted.service and i.name != name]
        others.sort(key=lambda image: image.order, reverse=True)
        latest = others[0].order if others else 0
        if PINNED not in wanted.labels or wanted.order <= latest:
            labels = [f"{PINNED}=pinned", f"{ORDER}={latest + 1}"]
            self.change("images", "label", name, *labels)
        self.remove(others[1:])

    def remove(self, images):
        used = set(self.ctr("containers", "ls").split())
        gone = [image for image in images if image.name not in used]
        names = {image.name for image in gone}
        # Kubernetes gives each image a second name, sha256:..., which holds its content too.
        ids = {image for image in self.images if image.name.startswith("sha256:")}
        kept = {i.digest for i in self.images if i not in ids and i.name not in names}
        names |= {i.name for i in ids if i.digest in {g.digest for g in gone} - kept}
        if names:
            self.change("images", "rm", *sorted(names))


def main():
    module = AnsibleModule(
        argument_spec={
            "k3s": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    keeper = Keeper(module)
    for name in module.params["names"]:
        keeper.keep(name)
    module.exit_json(changed=keeper.changed)


if __name__ == "__main__":
    main()
