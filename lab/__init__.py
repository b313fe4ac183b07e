"""Experiments on one machine: the rig that tests, fault matrix and benchmarks share."""
