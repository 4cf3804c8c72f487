#!/bin/sh
# Messages for transforms/edges.py, for ever: a vertex every so often, and an edge to it from an earlier one.
#
#   sample.sh [SECONDS]   between two vertices, 0.2 by default
pause=${1:-0.2}
number=0
while :; do
    number=$((number + 1))
    echo "$number"
    if [ "$number" -gt 1 ]; then
        echo "$((number / 2)) $number"
    fi
    sleep "$pause"
done
