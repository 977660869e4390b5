# SPDX-License-Identifier: Apache-2.0
"""What the log looks like, and where it goes."""

import json
import os
import re

import wisp


class Log(wisp.Case):
    def start(self, *args, **options):
        server = self.serve(wisp.guest("http-echo-rust"), "--workers", "1", *args, wait=False, **options)
        return server

    def serve_once(self, server, pattern):
        server.wait_for_log(pattern)
        server.address = re.search(r"http://([0-9.:]+)", server.log).group(1)
        self.assertEqual(server.get("/trap").status, 500)
        server.stop()

    def test_json(self):
        server = self.start("--log-format", "json")
        self.serve_once(server, '"url":"http://')
        records = [json.loads(line) for line in server.log.splitlines()]
        for record in records:
            self.assertEqual(list(record)[:4], ["time", "level", "scope", "message"])
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertIn("asked to", server.log)
        self.assertIn("error", [record["level"] for record in records])

    def test_logfmt(self):
        server = self.start()
        self.serve_once(server, "url=http://")
        for line in server.log.splitlines():
            self.assertRegex(line, r'^time=\S+Z level=(error|warn|info) scope=\w+ msg=(\w+|"[^"]*")( \w+=(\S+|".*"))*$')

    def test_level(self):
        server = self.start("--log-level", "error")
        wisp.wait_for(lambda: wisp.children(server.pid), "a worker")
        self.assertNotIn("level=info", server.log)
        server.signal(2)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(server.log, "")

    def test_level_from_environment(self):
        server = self.start(env={"WISP_LOG_LEVEL": "debug", "WISP_LOG_FORMAT": "json"})
        server.wait_for_log("child is ready")
        self.assertIn("level=debug", server.log)  # the flag for the format that Server gives counts more
        server.stop()

    def test_closed_descriptors(self):
        """Started without standard streams: nothing else may take their numbers and get the messages."""
        def close_all():
            for fd in (0, 1, 2):
                os.close(fd)

        address = wisp.free_address()
        server = self.start(address=address, preexec_fn=close_all)
        server.address = address

        def answers():
            try:
                return server.get("/status/200").status == 200
            except OSError:
                return False

        wisp.wait_for(answers, "an answer")
        server.signal(15)
        self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    wisp.main()
