#!/bin/sh
# Makes the image of barbeque_py, as `docker build --file deploy/Dockerfile .` does, on machines
# where that is not enough: the build trusts what this machine trusts (a proxy of the house that
# signs with a certificate of its own), takes packages from where PIP_INDEX_URL says, and begins
# with BASE, where no registry has the default. Nothing of all this stays in the image.
# usage: image.sh [TAG], `barbeque` by default
set -eu
tag=${1:-barbeque}
trust=${CA:-/etc/ssl/certs/ca-certificates.crt}
root=$(cd "$(dirname "$0")/.." && pwd)

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
tar -C "$root" --exclude node_modules --exclude __pycache__ -c .dockerignore LICENSE README.md \
  pyproject.toml requirements deploy/Dockerfile deploy/cloudformation api barbeque_py console worker | tar -C "$context" -x
if [ -r "$trust" ]; then cp "$trust" "$context/ca.crt"; fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
docker build --force-rm --tag "$tag" --file "$context/deploy/Dockerfile" ${BASE:+--build-arg "BASE=$BASE"} \
  --build-arg PIP_INDEX_URL \
  --build-arg "VERSION=$version" --build-arg "COMMIT=$commit" "$context"
docker image inspect --format "$tag is ready, {{.Size}} bytes" "$tag"
