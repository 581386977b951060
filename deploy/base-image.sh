#!/bin/sh
# Makes the base image of the examples where no image registry can be reached: Debian's own
# installer writes a minimal system, and the Docker engine imports it. Needs root, debootstrap and
# docker; takes about half a minute. Packages come from where this machine's apt gets them.
set -eu
suite=${SUITE:-bookworm}
image=${IMAGE:-debian:$suite-slim}

if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image is present"
  exit 0
fi
for tool in debootstrap docker apt-get; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install debootstrap docker.io" >&2; exit 1; }
done

# shellcheck disable=SC2016 # apt fills in the field
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
  'Created-By: Packages' "Codename: $suite" 'Component: main' 2>/dev/null | head -n 1)
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
echo "Making $image with debootstrap"
# No mirror known: debootstrap has a default of its own.
debootstrap --variant=minbase "$suite" "$root/system" ${mirror:+"$mirror"} >"$root/log" 2>&1 || {
  tail -n 20 "$root/log" >&2
  exit 1
}
# What Debian's own slim images leave out, too.
(
  cd "$root/system"
  rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* \
    usr/share/locale/* usr/share/man/* usr/share/info/* usr/share/lintian/*
  find usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
)
tar -C "$root/system" -c . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
docker image inspect --format "$image is ready, {{.Size}} bytes" "$image"
