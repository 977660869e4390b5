# SPDX-License-Identifier: Apache-2.0
"""An Azure blob server for tests: Azurite, from npm, installed once into the user's cache."""

import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import wisp

AZURITE = "3.33.0"
ACCOUNT = "wispaccount"
KEY = "d2lzcCBrZWVwcyBpdHMgYmxvYnMgaW4gYXp1cml0ZQ=="


def install():
    """The path of azurite-blob. Others may install it at the same time."""
    if not shutil.which("npm"):
        raise unittest.SkipTest("npm is not installed")
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "wisp", "azurite")
    place = os.path.join(cache, AZURITE)
    if not os.path.exists(os.path.join(place, "complete")):
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(cache, "lock"), "w") as lock:
            subprocess.run(["flock", str(lock.fileno())], pass_fds=[lock.fileno()], check=True)
            if not os.path.exists(os.path.join(place, "complete")):
                subprocess.run(["npm", "install", "--prefix", place, "--ignore-scripts", "--no-audit", "--no-fund",
                                "--no-update-notifier", "--loglevel=error", f"azurite@{AZURITE}"],
                               check=True, stdout=subprocess.DEVNULL)
                open(os.path.join(place, "complete"), "w").close()
    return os.path.join(place, "node_modules", ".bin", "azurite-blob")


class Server:
    """One account. What it keeps is gone with it."""

    def __init__(self, case):
        self.program = install()
        self.address = wisp.free_address()
        self.url = f"http://{self.address}/{ACCOUNT}"
        self.log = tempfile.TemporaryFile()
        case.addCleanup(self.log.close)
        case.addCleanup(self.kill)
        self.start()

    def start(self):
        host, _, port = self.address.rpartition(":")
        self.process = subprocess.Popen(
            [self.program, "--blobHost", host, "--blobPort", port, "--inMemoryPersistence", "--silent"],
            stdout=self.log, stderr=self.log, env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"})
        wisp.wait_for(self.answers, "azurite-blob")

    def answers(self):
        try:
            urllib.request.urlopen(self.url + "?comp=list", timeout=5).close()
        except urllib.error.HTTPError:
            pass  # it wants a signature
        except OSError:
            return False
        return True

    def kill(self):
        self.process.kill()
        self.process.wait()
