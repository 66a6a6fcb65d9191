#!/bin/sh
# Installs fivefold without development packages into a virtual environment that has uv. Where `make lock` left a
# runtime.lock, each package must have one of its hashes; the versions are those of constraints.txt in either case.
# usage, beside pyproject.toml: sh deploy/install.sh /opt/fivefold
set -eu
environment=$1
# Compiled here: the account that runs it may not write beside the code, and would compile it at every start.
install() {
	"$environment/bin/uv" pip install --quiet --compile-bytecode --python "$environment/bin/python" "$@"
}
if [ -f runtime.lock ]; then
	install --require-hashes -r runtime.lock
	install --no-deps .
else
	install --constraint constraints.txt '.[all]'
fi
