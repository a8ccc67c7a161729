#!/usr/bin/env bash
# Runs a command beside a real VS Code and the packaged extension: tests/vscode.sh COMMAND...
# The command finds them in TENKEN_TEST_VSCODE, a program, and TENKEN_TEST_VSIX. VS Code is code-server from npm, put beside
# the virtual environment's packages with its native parts compiled (300 MB, about a minute and a half, once). Where
# something of this does not work out the command runs without.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
own=$root/.venv/vscode
extension=$root/lsp/editors/vscode
version=4.100.3 # the newest that runs on Node 20
npm=(npm --no-audit --no-fund --loglevel error)

skip() {
	echo "tests/vscode.sh: $1; the tests of VS Code are skipped" >&2
	exec "${command[@]}"
}

tools() {
	local packages=()
	command -v rg >/dev/null || packages+=(ripgrep)
	command -v make >/dev/null && command -v g++ >/dev/null || packages+=(build-essential)
	command -v python3 >/dev/null || packages+=(python3)
	if [ ${#packages[@]} -gt 0 ]; then
		[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
	fi
}

install_code_server() {
	rm -rf "$own" && mkdir -p "$own" && cd "$own"
	"${npm[@]}" init -y >/dev/null
	"${npm[@]}" install --ignore-scripts "code-server@$version"
	# npm brings no compiled code: what VS Code cannot do without is compiled against this Node's own headers.
	local headers gyp code=$own/node_modules/code-server/lib/vscode
	headers=$(node -p "require('path').resolve(process.execPath, '../..')")
	gyp=$(npm root -g)/npm/node_modules/node-gyp/bin/node-gyp.js
	(cd "$code" && "${npm[@]}" install --omit=dev --ignore-scripts)
	(cd "$own/node_modules/argon2" && npx --no-install node-pre-gyp install --build-from-source "--nodedir=$headers" >gyp.log 2>&1) ||
		{ tail -5 "$own/node_modules/argon2/gyp.log" >&2; return 1; }
	local part
	for part in "$code"/node_modules/{@vscode/spdlog,native-watchdog,node-pty}; do
		(cd "$part" && node "$gyp" rebuild --nodedir="$headers" --jobs=max >gyp.log 2>&1) || { tail -5 "$part/gyp.log" >&2; return 1; }
	done
	mkdir -p "$code/node_modules/@vscode/ripgrep/bin"
	ln -sf "$(command -v rg)" "$code/node_modules/@vscode/ripgrep/bin/rg"
	ln -sfn node_modules "$code/node_modules.asar"
	ln -sf code-linux.sh "$code/bin/remote-cli/code-server"
	ln -sf browser-linux.sh "$code/bin/helpers/browser.sh"
	printf '#!/bin/sh\nexec node %s "$@"\n' "$own/node_modules/code-server/out/node/entry.js" >"$own/code-server"
	chmod +x "$own/code-server"
	echo "$version" >"$own/installed"
}

package_extension() {
	cd "$extension" && mkdir -p dist
	"${npm[@]}" ci --ignore-scripts
	"${npm[@]}" run --silent check
	"${npm[@]}" run --silent package >dist/package.log 2>&1 || { cat dist/package.log >&2; return 1; }
}

command=("$@")
[ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null)" = 20 ] || skip "there is no Node 20"
[ "$(uname -s)" = Linux ] || skip "this is not Linux"
tools || skip "ripgrep, g++ and make are needed"
if [ "$(cat "$own/installed" 2>/dev/null)" != "$version" ]; then
	(install_code_server) || skip "code-server $version cannot be installed"
fi
(package_extension)
export TENKEN_TEST_VSCODE=$own/code-server TENKEN_TEST_VSIX=$extension/tenken.vsix
exec "${command[@]}"
