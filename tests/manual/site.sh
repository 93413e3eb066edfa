#!/usr/bin/env bash
# The manual builds, no link in it is broken, and its search finds something where the pages are opened from a folder.
# Usage: site.sh SOURCE FOLDER. Ends with 77 where a program is missing, which it names.
set -euo pipefail
source=$1 site=$2
rm -rf "$site"
SECONDS=0
"$source/scripts/manual" "$site"
echo "It took $SECONDS seconds"
python3 "$source/tests/manual/links.py" "$site"

if ! command -v chromium >/dev/null; then
  echo "Its search is not looked at: apt-get install chromium"
  exit 0
fi
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
# The page as it is after its scripts have run.
page=$(HOME=$home timeout 120 chromium --headless --no-sandbox --disable-gpu --virtual-time-budget=20000 --dump-dom \
  --user-data-dir="$home" "file://$site/index.html?q=hessian_vector" 2>/dev/null)
if ! grep -q '<a href="[^"]*manual/functions.html[^"]*" class="md-search-result__link"' <<<"$page"; then
  echo "Searched from a folder, the manual finds no page with hessian_vector" >&2
  exit 1
fi
echo "Its search finds hessian_vector, without a server"
