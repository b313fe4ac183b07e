"""What a camera sees: sources of frames, detectors, and faces as JPEG. Knows nothing of MQTT."""
