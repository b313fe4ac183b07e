"""Sources of frames, face detectors, and faces as JPEG. Independent of MQTT."""
