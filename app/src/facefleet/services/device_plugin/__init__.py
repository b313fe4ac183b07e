"""Give pods access to cameras through a device plugin of the kubelet, one resource per device.

A privileged pod, or one with a hostPath of /dev, could access every device of the host, and
Kubernetes would have to admit it. A device plugin grants one device node and one rule of the device
control group, so that the pod remains as `restricted` as all others.
"""

from facefleet.services.device_plugin.plugin import run as run
