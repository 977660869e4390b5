# SPDX-License-Identifier: Apache-2.0
"""No request finds anything of another one, however that ended, one after the other and beside each other."""
import concurrent.futures
import random

import wisp


class Isolation(wisp.Case):
    def ask(self, server, kind):
        """The last path waits for a body, which comes while others have their turn."""
        with wisp.Client(server.address) as client:
            if kind != "w":
                return client.request("GET", "/" + kind, [("connection", "close")])
            client.request("POST", "/w", [("content-length", "1"), ("connection", "close")], read=False)
            server.get("/ok")
            client.send(b"x")
            return client.response()

    def check(self, server, kind):
        response = self.ask(server, kind)
        if kind == "t":
            self.assertEqual(response.status, 500)
        else:
            self.assertEqual((response.status, response.body), (200, b"faulty\n"))

    def test_each_request_has_an_instance_as_new(self):
        component = self.http_component("marks")
        self.assertIn("may serve many calls", self.wisp("inspect", component).stdout)
        server = self.serve(component, "--workers", "1")
        for kind in "aaaatagawaaa":
            self.check(server, kind)
        kinds = random.Random(1).choices("atgw", [20, 1, 1, 3], k=2000)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(self.check, server, kind) for kind in kinds]:
                done.result()
        server.stop()


if __name__ == "__main__":
    wisp.main()
