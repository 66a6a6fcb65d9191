#!/bin/sh
# Installs fivefold without development packages into a virtual environment that has uv.
# usage, beside pyproject.toml: sh deploy/install.sh /opt/fivefold
set -eu
environment=$1
exec "$environment/bin/uv" pip install --quiet --python "$environment/bin/python" --constraint constraints.txt '.[all]'
