# SPDX-License-Identifier: Apache-2.0
"""On a kernel before 6.7, which has no PAGEMAP_SCAN: nothing here pretends that."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import wisp


class OldKernel(wisp.Case):
    def test_serves_and_says_what_it_lacks(self):
        self.assertTrue(os.uname().release.startswith("6.1."), os.uname().release)
        server = self.serve(wisp.guest("http-hello-rust"), "--workers", "1")
        for _ in range(20):
            self.assertEqual(server.get().body, b"Hello from Rust!\n")
        server.wait_for_log("PAGEMAP_SCAN")
        server.stop()


if __name__ == "__main__":
    unittest.main()
