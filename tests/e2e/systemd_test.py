# SPDX-License-Identifier: Apache-2.0
"""The systemd unit is one that systemd takes without a word."""

import os
import re
import shutil
import subprocess
import unittest

import wisp

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/systemd/wisp.service")


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze on this machine (package systemd)")
class SystemdTest(wisp.Case):
    def verify(self, text):
        path = self.path("wisp.service")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        # Other units, which this machine may lack, are not ours to judge.
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True,
                              timeout=wisp.PATIENCE)
        return [line for line in done.stderr.splitlines() if "wisp.service" in line], done.returncode

    def setUp(self):
        super().setUp()
        with open(UNIT, encoding="utf-8") as file:
            installed = file.read()
        self.assertIn("ExecStart=/usr/bin/wisp host\n", installed)
        self.text = installed.replace("/usr/bin/wisp", os.path.abspath(wisp.PROGRAM))

    def test_unit_has_no_fault(self):
        self.assertEqual(self.verify(self.text)[0], [])

    def test_faults_would_be_found(self):
        problems, _ = self.verify(re.sub("LockPersonality", "LockPersonalty", self.text))
        self.assertIn("LockPersonalty", "".join(problems))


if __name__ == "__main__":
    wisp.main()
