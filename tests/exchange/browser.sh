#!/usr/bin/env bash
# Trains by docs/manual/browser.md's script in chromium, served from this machine, and looks whether the loss falls.
# Usage: browser.sh SOURCE MODULES FOLDER; FOLDER/state gets what the page says in the end.
set -euo pipefail
source=$1 modules=$2 folder=$3
mkdir "$folder/site"
# Of the page what is for browsers, as mkdocs passes it on.
{
  echo '<!doctype html><title>browser.md</title>'
  sed -n '/^<p>/,/browser.js/p' "$source/docs/manual/browser.md"
} >"$folder/site/index.html"
cp "$source"/docs/manual/{browser,contractive_model}.js "$folder/site"
ln -s "$modules/node_modules/onnxruntime-web/dist" "$folder/site/ort"

node "$source/tests/exchange/serve.mjs" "$folder/site" >"$folder/port" &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 100); do
  [[ -s $folder/port ]] && break
  sleep 0.1
done
HOME=$folder timeout 120 chromium --headless --no-sandbox --disable-gpu --virtual-time-budget=60000 --dump-dom \
  --user-data-dir="$folder/profile" "http://127.0.0.1:$(cat "$folder/port")/index.html?ort=/ort/&steps=300" \
  >"$folder/page" 2>"$folder/errors"
sed -n 's/.*<span id="cinch-state">\([^<]*\)<.*/\1/p' "$folder/page" >"$folder/state"
# "step 300, loss 361.2 at first, 120.3 now, 150 steps a second, done"
awk '/^step 300, .*, done$/ { first = $4; now = $7; found = 1 } END { exit !(found && now < 0.7 * first) }' "$folder/state" || {
  echo "The page ends with: $(cat "$folder/state")" >&2
  exit 1
}
