#!/bin/sh
# Make the base of the images from Debian's packages alone, where no registry can be reached, and hand it to docker or podman:
#
#   deploy/images/local_base.sh [NAME [MIRROR [SECURITY_MIRROR]]]
#
# Wants root, debootstrap and a mirror of Debian 12. The images are built with --build-arg PYTHON_IMAGE=NAME then.
set -eu
name=${1:-localhost/python:3.11-bookworm-local}
mirror=${2:-http://deb.debian.org/debian}
security=${3:-http://deb.debian.org/debian-security}
engine=$(command -v docker || command -v podman) || { echo "local_base.sh: needs docker or podman" >&2; exit 3; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
debootstrap --variant=minbase --include=ca-certificates,python3-venv,python-is-python3 bookworm "$root" "$mirror"
cat > "$root/etc/apt/sources.list" <<END
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb $security bookworm-security main
END
chroot "$root" sh -euc 'export DEBIAN_FRONTEND=noninteractive; apt-get update; apt-get --yes upgrade; apt-get clean'
# What debootstrap took over of this machine, and what every build reads anew.
rm -rf "$root/etc/resolv.conf" "$root/etc/hostname" "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt/*

tar --numeric-owner -C "$root" -c . | "$engine" import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'CMD ["python3"]' - "$name"
echo "made $name: docker build --build-arg PYTHON_IMAGE=$name ..."
