#!/usr/bin/env bash
# Runs a command beside a throwaway Postgres server on a socket of its own: tests/postgres.sh COMMAND...
# The command finds the server's URL in TENKEN_TEST_POSTGRES. Where no server is installed it runs without.
set -euo pipefail

bin=$(dirname "$(command -v initdb || ls -1 /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1 || true)")
if [ -n "${TENKEN_TEST_POSTGRES:-}" ] || [ ! -x "$bin/initdb" ]; then
	exec "$@"
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/tenken-pg.XXXXXX")
as_owner=()
if [ "$(id -u)" = 0 ]; then  # Postgres refuses to run as root
	getent passwd postgres >/dev/null || exec "$@"
	chown postgres "$folder"
	as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
stop() {
	"${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
	rm -rf "$folder"
}
trap stop EXIT

cd "$folder"
"${as_owner[@]}" "$bin/initdb" -D "$folder/data" -U tenken -A trust -E UTF8 --locale=C --no-sync >/dev/null
"${as_owner[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" start >/dev/null \
	-o "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=off"
cd "$OLDPWD"
TENKEN_TEST_POSTGRES="postgresql://tenken@/postgres?host=$folder" "$@"
