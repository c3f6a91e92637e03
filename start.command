#!/bin/sh
# Made to be double-clicked on macOS, which opens a terminal for it.
exec /bin/sh "$(dirname -- "$0")/start.sh" "$@"
