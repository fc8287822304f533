#!/usr/bin/python3
"""As upstream: installs or upgrades the volume at start, then becomes the server."""
import os
import sys

import nextcloud

if sys.argv[1:2] == ["apache2-foreground"]:
    nextcloud.prepare()
    nextcloud.become()
os.execvp(sys.argv[1], sys.argv[1:])
