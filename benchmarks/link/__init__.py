"""What facefleet, Mosquitto's bridge and a plain client make of a bad link.

`model`: the link, as pure rules. `results`: the figures, as pure functions.
"""
