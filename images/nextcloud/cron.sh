#!/bin/bash
# As the real one, whose first process is busybox's crond.
exec -a crond /usr/bin/python3 /opt/contract/cron.py
