# SPDX-License-Identifier: Apache-2.0
"""SQL from a component by its link to a real PostgreSQL server."""

import glob
import json
import os
import signal
import subprocess
import unittest

import hosts
import wisp

PASSWORD = "not to be seen"


class Server:
    """PostgreSQL refuses to run as root: then it runs as its own user."""

    def __init__(self, case):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        if not programs:
            raise unittest.SkipTest("postgresql is not installed: tools/packages-test.txt")
        self.programs = programs[-1]
        self.port = int(wisp.free_address().rpartition(":")[2])
        self.folder = case.path("postgres")
        os.mkdir(self.folder)
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        password = case.write("password", PASSWORD + "\n")
        os.chmod(password, 0o644)
        if self.user:
            subprocess.run(["chown", "postgres:postgres", self.folder], check=True)
        self.run("initdb", "--pgdata=data", "--username=tester", "--encoding=UTF8", "--locale=C", "--no-sync",
                 "--auth=scram-sha-256", f"--pwfile={password}").wait()
        case.addCleanup(self.kill)
        self.start()

    def run(self, program, *args):
        return subprocess.Popen([f"{self.programs}/{program}", *args], cwd=self.folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, **self.user)

    def start(self):
        self.process = self.run("postgres", "-D", "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                                "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off")

    def kill(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


class PostgresTest(hosts.ByVerbs):
    def post(self, path, sql):
        return self.ask_text(path, "POST", sql.encode())

    def rows(self, path, sql):
        status, text = self.post(path, sql)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def test_sql(self):
        server = Server(self)
        self.start_served("postgres-rust", "sql", 50)
        self.ok("start", "provider", "wisp://sqldb-postgres", "db")
        self.ok("config", "put", "db", "POSTGRES_HOST=127.0.0.1", f"POSTGRES_PORT={server.port}",
                "POSTGRES_USERNAME=tester", "POSTGRES_DATABASE=postgres", f"POSTGRES_PASSWORD={PASSWORD}")
        self.ok("link", "put", "sql", "db", "wasmcloud", "postgres", "--interface", "query", "--interface", "prepared",
                "--target-config", "db")
        wisp.wait_for(lambda: self.post("/query", "SELECT 1")[0] == 200,
                      f"the database; {self.post('/query', 'SELECT 1')}; log: {self.host.log[-3000:]}")

        self.assertEqual(self.post("/batch", "CREATE TABLE t (id serial PRIMARY KEY, name text, n numeric);"
                                             "INSERT INTO t (name, n) VALUES ('a', 1.50), (NULL, 2)"), (200, "done"))
        self.assertEqual(self.rows("/query", "SELECT * FROM t ORDER BY id"),
                         [{"id": 1, "name": "a", "n": 1.5}, {"id": 2, "name": None, "n": 2}])
        self.assertEqual(self.rows("/query?2", "SELECT id, n > 1 AS more FROM t WHERE id = $1"), [{"id": 2, "more": True}])
        self.assertEqual(self.post("/exec?b&3.25", "INSERT INTO t (name, n) VALUES ($1, $2)"), (200, "1"))
        self.assertEqual(self.post("/exec", "UPDATE t SET n = n + 1"), (200, "3"))
        self.assertEqual(self.rows("/query", "SELECT sum(n) AS s, array_agg(name ORDER BY name) FILTER (WHERE name IS "
                                             "NOT NULL) AS names FROM t"), [{"s": 9.75, "names": ["a", "b"]}])
        self.assertEqual(len(self.rows("/query", "SELECT i, 'row ' || i AS t FROM generate_series(1, 10000) i")), 10000)
        for sql, words in [("SELEC", "syntax error"), ("SELECT nothing", "nothing"),
                           ("SELECT interval '1 day' AS i", "column `i` is of type interval")]:
            status, text = self.post("/query", sql)
            self.assertEqual(status, 400, text)
            self.assertIn(words, text)
        status, text = self.post("/query?x", "SELECT * FROM t WHERE id = $1")
        self.assertEqual((status, "invalid input syntax" in text), (400, True), text)

        # Killed while rows are written: those that were acknowledged are there, and none twice.
        self.assertEqual(self.post("/batch", "CREATE TABLE load (name text)"), (200, "done"))
        load = hosts.Load(lambda name: self.post("/exec", f"INSERT INTO load VALUES ('{name}')")[0] == 200)
        load.survives(lambda: (server.kill(), server.start()))
        rows = self.rows("/query", "SELECT name, count(*) AS n FROM load GROUP BY name")
        self.assertEqual([row for row in rows if row["n"] != 1], [])
        names = {row["name"] for row in rows}
        self.assertEqual([name for name in load.done if name not in names], [])
        self.assertLessEqual(len(names), len(load.done) + len(load.failed))
        self.assertLess(load.slowest, 20)

        server.kill()
        server.start()
        wisp.wait_for(lambda: self.post("/query", "SELECT 1")[0] == 200, "the database to be back")
        self.assertEqual(len(self.rows("/query", "SELECT * FROM t")), 3)
        self.assertNotIn(PASSWORD, self.host.log)
        self.host.stop()
