#!/bin/sh
# Installs the bundle that it lies in, and reaches for no network:
#   ./install.sh [--prefix /opt/tenken] [--python python3]
# このファイルがあるバンドルをインストールします。ネットワークは使いません:
#   ./install.sh [--prefix /opt/tenken] [--python python3]
set -eu

case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
ja*) language=ja usage=4,5 ;;
*) language=en usage=2,3 ;;
esac

prefix=/opt/tenken
python=python3
while [ $# -gt 0 ]; do
	case $1 in
	--prefix) prefix=$2; shift 2 ;;
	--python) python=$2; shift 2 ;;
	*) sed -n "${usage}s/^# \{0,1\}//p" "$0"; [ "$1" = --help ] || exit 2; exit 0 ;;
	esac
done

# Takes what is to be said in English, and in Japanese.
say() {
	if [ "$language" = ja ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi
}

die() {
	say "install.sh: $1" "install.sh: $2" >&2
	exit 3
}

cd "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
sha256sum --check --quiet --strict SHA256SUMS ||
	die "this bundle is damaged; copy it once more" "バンドルが壊れています。もう一度コピーしてください"

# What the manifest says of the machine, one word a line.
said=$("$python" -c 'import json; m = json.load(open("manifest.json")); print(m["python"], m["machine"])') ||
	die "$python cannot be run: --python names another" "$python を実行できません: 別のものを --python で指定してください"
here=$("$python" -c 'import platform as p; print(*p.python_version_tuple()[:2], sep=".", end=" "); print(p.machine())')
[ "$said" = "$here" ] ||
	die "the bundle is for Python and machine $said, but $python here is $here" \
		"このバンドルの Python とマシンは $said ですが、ここの $python は $here です"
[ ! -e "$prefix/bin/python" ] ||
	die "$prefix is in use: move it away, or name another with --prefix" \
		"$prefix は使われています: 移すか、別の場所を --prefix で指定してください"

"$python" -m venv --without-pip "$prefix" ||
	die "no virtual environment can be made at $prefix" "$prefix に仮想環境を作れません"
# pip itself comes along, and is run out of its wheel. No configuration of this machine may add an index.
env -u PIP_CONSTRAINT -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	"$prefix/bin/python" "$(echo wheels/pip-*.whl)/pip" install --quiet --disable-pip-version-check \
	--no-index --no-cache-dir --find-links wheels --require-hashes --requirement requirements.txt ||
	die "the packages cannot be installed; pip's own words are above" \
		"パッケージをインストールできません。pip のメッセージは上にあります"

for part in adapters model deploy; do
	if [ -d "$part" ]; then
		mkdir -p "$prefix/share/tenken"
		cp -R "$part" "$prefix/share/tenken/"
	fi
done

"$prefix/bin/tenken" --version
for adapter in "$prefix"/share/tenken/adapters/*; do
	[ ! -d "$adapter" ] || say "adapter: ENGINE_ADAPTER_DIR=$adapter" "アダプター: ENGINE_ADAPTER_DIR=$adapter"
done
for model in "$prefix"/share/tenken/model/*; do
	[ ! -e "$model" ] || say "model: ENGINE_MODEL_PATH=$model" "モデル: ENGINE_MODEL_PATH=$model"
done
say "next: $prefix/bin/tenken doctor" "次を実行してください: $prefix/bin/tenken doctor"
