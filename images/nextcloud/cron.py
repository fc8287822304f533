"""The cron container: the same image and volume, a job every five minutes."""
import os
import signal
import time

import nextcloud

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
nextcloud.become()
nextcloud.need_volume(nextcloud.HTML)
while True:
    if os.path.exists(nextcloud.CONFIG):
        config = nextcloud.read_config()
        if not config["maintenance"]:
            nextcloud.open_database(config).set_setting("lastcron", str(int(time.time())))
            print("cron: done", flush=True)
            time.sleep(295)
    time.sleep(5)
