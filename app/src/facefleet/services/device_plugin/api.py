"""The kubelet's device plugin API, v1beta1: its messages and the names of its two services.

The field numbers are those of `api.proto` in k8s.io/kubelet. Unused fields are omitted.
"""

import proto

VERSION = "v1beta1"
REGISTRATION = "v1beta1.Registration"
DEVICE_PLUGIN = "v1beta1.DevicePlugin"
HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"


class Empty(proto.Message):
    pass


class DevicePluginOptions(proto.Message):
    """Both unset: the kubelet calls neither PreStartContainer nor GetPreferredAllocation."""

    pre_start_required = proto.Field(proto.BOOL, number=1)
    get_preferred_allocation_available = proto.Field(proto.BOOL, number=2)


class RegisterRequest(proto.Message):
    version = proto.Field(proto.STRING, number=1)
    endpoint = proto.Field(proto.STRING, number=2)
    resource_name = proto.Field(proto.STRING, number=3)
    options = proto.Field(DevicePluginOptions, number=4)


class Device(proto.Message):
    id = proto.Field(proto.STRING, number=1)
    health = proto.Field(proto.STRING, number=2)


class ListAndWatchResponse(proto.Message):
    devices = proto.RepeatedField(Device, number=1)


class ContainerAllocateRequest(proto.Message):
    device_ids = proto.RepeatedField(proto.STRING, number=1)


class AllocateRequest(proto.Message):
    container_requests = proto.RepeatedField(ContainerAllocateRequest, number=1)


class DeviceSpec(proto.Message):
    container_path = proto.Field(proto.STRING, number=1)
    host_path = proto.Field(proto.STRING, number=2)
    permissions = proto.Field(proto.STRING, number=3)


class ContainerAllocateResponse(proto.Message):
    devices = proto.RepeatedField(DeviceSpec, number=3)


class AllocateResponse(proto.Message):
    container_responses = proto.RepeatedField(ContainerAllocateResponse, number=1)
