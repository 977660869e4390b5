# SPDX-License-Identifier: Apache-2.0
"""An S3 server for tests: moto, from PyPI, installed once into the user's cache."""

import os
import subprocess
import sys
import tempfile
import urllib.request
import venv

import wisp

MOTO = "5.2.5"


def install():
    """The path of moto_server. Others may install it at the same time."""
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "wisp", "moto")
    place = os.path.join(cache, f"{MOTO}-python{sys.version_info.major}.{sys.version_info.minor}")
    program = os.path.join(place, "bin", "moto_server")
    if not os.path.exists(os.path.join(place, "complete")):
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(cache, "lock"), "w") as lock:
            subprocess.run(["flock", str(lock.fileno())], pass_fds=[lock.fileno()], check=True)
            if not os.path.exists(os.path.join(place, "complete")):
                venv.create(place, clear=True, with_pip=True)
                subprocess.run([os.path.join(place, "bin", "pip"), "install", "--quiet", f"moto[s3,server]=={MOTO}"],
                               check=True, stdout=subprocess.DEVNULL)
                open(os.path.join(place, "complete"), "w").close()
    return program


class Server:
    """Any keys will do for it. What it keeps is gone with it."""

    def __init__(self, case):
        self.program = install()
        self.address = wisp.free_address()
        self.url = f"http://{self.address}"
        self.log = tempfile.TemporaryFile()
        case.addCleanup(self.log.close)
        case.addCleanup(self.kill)
        self.start()

    def start(self):
        host, _, port = self.address.rpartition(":")
        self.process = subprocess.Popen([self.program, "-H", host, "-p", port], stdout=self.log, stderr=self.log)
        wisp.wait_for(self.answers, "moto_server")

    def answers(self):
        try:
            urllib.request.urlopen(self.url + "/moto-api/", timeout=5).close()
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()
