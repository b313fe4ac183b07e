"""A site behind an HTTP proxy: who is told of it, and what goes without it."""

import pytest

from support.role_variables import RoleVariables

PROXY = "http://fleet:s3cret@192.0.2.1:3128"
SITE = {"facefleet_http_proxy": PROXY, "facefleet_cloud_address": "cloud.example.org"}


def environment(**more):
    return RoleVariables("facefleet").value("facefleet_proxy_environment", **SITE | more)


def test_without_a_proxy_nobody_is_told_of_one():
    assert environment(facefleet_http_proxy="") == {}
    assert not RoleVariables("k3s").value("__k3s_proxy_text", k3s_proxy_environment={})
    for role in ("docker", "k3s", "app_image"):
        assert RoleVariables(role).value(f"{role}_proxy_environment") == {}


def test_both_spellings_are_told():
    told = environment()
    assert told["http_proxy"] == told["HTTPS_PROXY"] == PROXY
    assert {name.lower() for name in told} == {"http_proxy", "https_proxy", "no_proxy"}
    assert all(told[name] == told[name.upper()] for name in told)


def test_host_pods_and_cloud_are_reached_without_it():
    without = environment(facefleet_no_proxy=["registry.example.org"])["no_proxy"].split(",")
    assert {"localhost", "127.0.0.0/8", "10.42.0.0/16", "10.43.0.0/16", ".svc"} <= set(without)
    assert {"cloud.example.org", "registry.example.org"} <= set(without)
    given = {"cluster-cidr": "10.9.0.0/16"}
    assert "10.9.0.0/16" in environment(k3s_config=given)["no_proxy"].split(",")


def test_k3s_has_containerd_use_it_and_nobody_else():
    text = RoleVariables("k3s").value("__k3s_proxy_text", k3s_proxy_environment=environment())
    lines = text.split()
    assert f"CONTAINERD_HTTPS_PROXY='{PROXY}'" in lines
    assert all(line.startswith("CONTAINERD_") for line in lines)


def test_a_build_is_told_by_its_environment_and_not_by_its_arguments():
    arguments = RoleVariables("app_image").value(
        "__app_image_build_proxy", app_image_proxy_environment=environment()
    )
    assert "--build-arg http_proxy " in arguments
    assert "s3cret" not in arguments


@pytest.mark.parametrize(("given", "bad"), [("", False), (PROXY, False), ("192.0.2.1:3128", True)])
def test_what_is_no_proxy_is_refused(given, bad):
    checks = RoleVariables("facefleet")
    text = checks.raw("__facefleet_checks")
    [check] = [one for one in text if "facefleet_http_proxy" in one["msg"]]
    assert checks.value(check["failed_when"].strip("{} "), facefleet_http_proxy=given) is bad
