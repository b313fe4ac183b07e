"""What facefleet, Mosquitto's bridge and a plain client make of a bad link: `make bench-link`.

`model` has the rules of the link, `tunnel` and `network` the link itself, between two network
namespaces. `edge` and `cloud` are its ends, `trial` runs them, `results` computes the figures.
"""
