"""Hand cameras to pods: a device plugin of the kubelet, one resource a device.

A pod could have its camera as a privileged pod, or by a hostPath of /dev: it would then have every
device of the host, and Kubernetes would have to let it. By a device plugin it gets the one node,
and the one rule of its device control group, and stays as `restricted` as every other.
"""

from facefleet.services.device_plugin.plugin import run as run
