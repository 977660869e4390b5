# SPDX-License-Identifier: Apache-2.0
"""Components that misbehave: what the client gets, what the log says, and that it ends that request alone."""

import wisp


class Faults(wisp.Case):
    def start(self, name, *args):
        return self.serve(self.http_component(name), "--workers", "1", *args)

    def check_others_go_on(self, server):
        self.assertEqual(server.get("/ok").body, b"ok\n")
        server.stop()

    def answers_500(self, name, words="", *args):
        """Before anything was sent: 500, and the cause is in the log only."""
        server = self.start(name, *args)
        for _ in range(3):
            response = server.get("/")
            self.assertEqual(response.status, 500, response)
            self.assertNotIn(b"wasm", response.body)
        self.assertRegex(server.log, "level=(error|warn)")
        self.assertIn(words, server.log)
        self.check_others_go_on(server)

    def breaks_off(self, name, words="", *args):
        """The response has begun: the client must notice that it is not whole."""
        server = self.start(name, *args)
        for _ in range(3):
            try:
                response = server.get("/")
            except wisp.Broken:
                continue
            self.assertEqual(response.status, 500, response)
        self.assertRegex(server.log, "level=(error|warn)")
        self.assertIn(words, server.log)
        self.check_others_go_on(server)

    def refuses_kindly(self, name, status):
        """The component is told of its mistake and answers."""
        server = self.start(name)
        self.assertEqual(server.get("/").status, status)
        self.check_others_go_on(server)

    # --- traps ---

    def test_trap(self):
        self.answers_500("trap", "unreachable")

    def test_trap_after_head(self):
        self.breaks_off("trap-after-head", "unreachable")

    def test_division_by_zero(self):
        self.answers_500("divide", "division by zero")

    def test_stray_load(self):
        self.answers_500("stray", "out-of-bounds")

    def test_recursion_for_ever(self):
        self.answers_500("recurse", "stack")

    def test_trap_in_start_function(self):
        server = self.start("start-traps")
        for path in ("/", "/ok"):
            self.assertEqual(server.get(path).status, 500)
        self.assertIn("unreachable", server.log)
        server.stop()

    # --- time ---

    def test_loop_for_ever(self):
        server = self.start("loop", "--timeout", "1s")
        client = server.client()
        client.request("GET", "/", read=False)
        for _ in range(5):
            self.assertEqual(server.get("/ok").body, b"ok\n")
        self.assertEqual(client.response().status, 504)
        self.assertRegex(server.log, "level=(error|warn)")
        self.check_others_go_on(server)

    def test_loop_after_head(self):
        server = self.start("loop-after-head", "--timeout", "1s")
        client = server.client()
        client.request("GET", "/", read=False)
        # What was written before is not held back by what the component does then.
        self.assertEqual(client.head()[0], 200)
        self.assertEqual(client.read_chunk(), b"faulty\n")
        with self.assertRaises(wisp.Broken):
            client.read_chunk()
        self.check_others_go_on(server)

    def test_loop_in_start_function(self):
        server = self.start("start-loops", "--timeout", "500ms")
        self.assertEqual(server.get("/ok").status, 504)
        server.stop()

    # --- memory ---

    def test_memory_up_to_the_limit(self):
        server = self.start("grow", "--max-memory", "32M", "--timeout", "60s")
        for _ in range(3):
            got = int(server.get("/").body)
            self.assertGreaterEqual(got, 30)
            self.assertLessEqual(got, 32)
        self.check_others_go_on(server)

    def test_memory_is_the_next_ones_again(self):
        """What one instance took, the next one doesn't see and the machine gets back."""
        server = self.start("grow", "--max-memory", "64M", "--timeout", "60s")
        for _ in range(10):
            server.get("/")
        with open(f"/proc/{server.workers()[0]}/statm") as file:
            resident = int(file.read().split()[1]) * 4096
        self.assertLess(resident, 300 << 20)
        self.check_others_go_on(server)

    # --- requests and responses ---

    def test_body_never_read(self):
        server = self.start("never-reads")
        # A small one: the connection goes on. A large one: the answer arrives all the same.
        client = server.client()
        for _ in range(2):
            self.assertEqual(client.request("POST", "/", body=b"x" * 1000).body, b"faulty\n")
        large = server.client()
        large.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 50000000\r\n\r\n")
        try:
            for _ in range(500):
                large.send(b"x" * 100000)
        except OSError:
            pass
        try:
            self.assertEqual(large.response().body, b"faulty\n")
        except wisp.Broken:
            # The reset that ends an upload nobody wants may overtake the answer.
            pass
        self.check_others_go_on(server)

    def test_no_answer(self):
        self.answers_500("never-answers")

    def test_outparam_dropped(self):
        self.answers_500("drops-outparam")

    def test_answer_is_an_error_code(self):
        self.answers_500("answers-error")

    def test_answer_twice(self):
        server = self.start("answers-twice")
        for _ in range(3):
            try:
                response = server.get("/")
                self.assertIn((response.status, response.body), [(200, b"faulty\n"), (500, b"Internal Server Error\n")])
            except wisp.Broken:
                pass
        self.assertRegex(server.log, "level=(error|warn)")
        self.check_others_go_on(server)

    def test_write_after_finish(self):
        server = self.start("writes-after-finish")
        try:
            response = server.get("/")
            self.assertIn((response.status, response.body[:10]), [(200, b""), (500, b"Internal S")])
        except wisp.Broken:
            pass
        self.assertRegex(server.log, "level=(error|warn)")
        self.check_others_go_on(server)

    def test_body_shorter_than_announced(self):
        server = self.start("short-body")
        try:
            response = server.get("/")
            self.assertEqual(response.status, 500)
        except wisp.Broken:
            pass
        self.check_others_go_on(server)

    def test_body_longer_than_announced(self):
        server = self.start("long-body")
        client = server.client()
        try:
            response = client.request("GET", "/")
            # Nothing beyond what was announced may reach the client: it would be read as the next response.
            self.assertIn((response.status, response.body[:3]), [(200, b"fau"), (500, b"Int")])
            if response.status == 200:
                self.assertEqual(len(response.body), 3)
                self.assertTrue(client.is_closed() or client.buffer.startswith(b"HTTP/1.1 "))
        except wisp.Broken:
            pass
        self.check_others_go_on(server)

    def test_bad_header(self):
        self.refuses_kindly("bad-header", 418)

    def test_bad_status(self):
        self.refuses_kindly("bad-status", 418)

    # --- handles ---

    def test_finish_before_stream_is_dropped(self):
        self.breaks_off("finish-before-stream")

    def test_body_dropped_before_its_stream(self):
        self.answers_500("drop-body-before-stream")

    def test_handle_dropped_twice(self):
        self.answers_500("drop-twice", "handle")

    def test_unknown_handle(self):
        self.answers_500("wrong-handle", "handle")

    def test_handle_of_another_type(self):
        self.answers_500("wrong-type", "handle")

    # --- values ---

    def test_invalid_utf8(self):
        self.answers_500("bad-utf8", "utf-8")

    def test_bad_discriminant(self):
        self.answers_500("bad-discriminant", "discriminant")

    def test_bad_case(self):
        self.answers_500("bad-case", "discriminant")

    def test_list_out_of_memory(self):
        self.breaks_off("bad-pointer", "memory")

    def test_list_that_wraps_around(self):
        self.breaks_off("huge-list", "4294967295 bytes")

    def test_result_out_of_memory(self):
        self.answers_500("bad-result-pointer", "memory")

    def test_result_not_aligned(self):
        self.answers_500("unaligned-result", "align")

    def test_realloc_out_of_memory(self):
        self.answers_500("bad-realloc", "realloc")


if __name__ == "__main__":
    wisp.main()
