#!/bin/sh
# Starts the launcher with the first Python here that it can run with. Made to be double-clicked.
cd -- "$(dirname -- "$(readlink -f -- "$0" 2>/dev/null || echo "$0")")" || exit 1

for python in python3 python3.13 python3.12 python3.11 python3.10 python; do
    if "$python" bootstrap.py --help >/dev/null 2>&1; then
        "$python" launcher.py "$@"
        code=$?
        [ "$code" -eq 0 ] || [ ! -t 0 ] || { printf 'Press Enter to close this window. '; read -r _; }
        exit "$code"
    fi
done

sentence="No Python 3.10 to 3.13 was found. Install one (with Tk), then start this again."
echo "error: $sentence" >&2
if [ -t 0 ]; then
    printf 'Press Enter to close this window. '; read -r _
else  # started by a file manager, where nobody reads what was written
    zenity --error --text "$sentence" 2>/dev/null || kdialog --error "$sentence" 2>/dev/null || xmessage "$sentence" 2>/dev/null
fi
exit 78
