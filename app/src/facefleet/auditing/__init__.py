"""What `facefleet audit` and the service `auditor` share: digests held against the bucket."""
