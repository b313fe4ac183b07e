"""`hostvars | desired_devices(names)`: what each device should run, for `facefleet devices`."""

MAX_PROBLEM = 500  # characters; a host may answer anything


def desired_devices(hostvars, names):
    """Return the desired state of each device, and why ssh does not reach it, by name.

    A device without a recorded state failed earlier, which the run has reported.
    """
    return {
        name: {
            **hostvars[name]["facefleet_desired_device"],
            "ssh": str(hostvars[name].get("facefleet_ssh_problem", ""))[:MAX_PROBLEM],
        }
        for name in names
        if "facefleet_desired_device" in hostvars[name]
    }


def ssh_problems(devices):
    """Return a sentence for each device that ssh does not reach."""
    return [
        f"{name}: ssh does not reach it: {device['ssh']}"
        for name, device in devices.items()
        if device["ssh"]
    ]


class FilterModule:
    def filters(self):
        return {"desired_devices": desired_devices, "ssh_problems": ssh_problems}
