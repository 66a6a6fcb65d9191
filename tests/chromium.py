"""The Chromium of this machine: `.ci/run` installs Debian's package where it can."""

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NONE_HERE = "no Chromium here; as root: apt-get install -y chromium"
