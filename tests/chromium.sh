#!/usr/bin/env bash
# Installs the browser that tests/e2e/test_demo_page.py drives, where that can be done: Debian or Ubuntu, as root.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "no Chromium, and none can be installed here: the demo's page is not tested in a browser" >&2
	exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	chromium fonts-noto-cjk fonts-noto-color-emoji >/dev/null
