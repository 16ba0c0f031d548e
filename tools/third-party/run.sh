#!/usr/bin/env bash
# Runs the clients of this folder against a server: ./run.sh http://127.0.0.1:8188
set -euo pipefail
address="${1:?address of a server, as http://127.0.0.1:8188}"
here="$(cd "$(dirname "$0")" && pwd)"
work="${TMPDIR:-/tmp}/vitascope-third-party"
mkdir -p "$work"
cd "$work"
[ -x py/bin/python ] || python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check comfy-cli comfy-api-simplified
[ -d node_modules/@saintno/comfyui-sdk ] || { npm init -y >/dev/null && npm install --silent @saintno/comfyui-sdk; }

py/bin/python "$here/simplified.py" "$address/"
cp "$here/sdk.mjs" "$here/workflow.json" .
node sdk.mjs "$address" workflow.json
host="${address#*://}"
py/bin/comfy --skip-prompt run --workflow workflow.json --host "${host%:*}" --port "${host##*:}" --wait --timeout 120 | tee comfy.log | grep -o '"status": "completed"'
echo "all three clients got their results"
