#!/bin/sh
# The pods of facefleet, a line each: name, uid, how often it was restarted.
k3s kubectl --namespace=facefleet get pods --no-headers \
    --output=custom-columns=NAME:.metadata.name,UID:.metadata.uid,RESTARTS:.status.containerStatuses[0].restartCount |
    sed 's/  */ /g' | sort
