# SPDX-License-Identifier: Apache-2.0
"""The guide is right: its sessions (blocks of `console`) print what they say there, what can't be run here (blocks of `sh`)
at least uses verbs and flags that exist, and its links lead somewhere."""
import glob
import os
import re
import shlex

import documents
import wisp

PAGES = sorted(glob.glob(os.path.join(documents.ROOT, "docs", "guide", "*.md")))


class Guide(wisp.Case):
    def help_of(self, words):
        """Help of the longest run of words that is a verb."""
        while words:
            done = self.wisp("help", *words)
            if done.returncode == 0:
                return done.stdout
            words = words[:-1]
        return self.fail("no verb")

    def test_commands_that_are_not_run_exist(self):
        for page in PAGES:
            for line in "".join(documents.fenced(documents.read(page), "sh")).splitlines():
                words = shlex.split(line, comments=True)
                if "wisp" not in words:
                    continue
                with self.subTest(page=os.path.basename(page), line=line):
                    words = words[words.index("wisp") + 1:]
                    options = [word for word in words if re.match("--?[a-z]", word)]
                    text = self.help_of([word for word in words[:2] if word not in options])
                    for option in options:
                        self.assertRegex(text, rf"(?m)(^|[\s(]){re.escape(option)}\b")

    def test_links_lead_somewhere(self):
        for page in [*PAGES, *glob.glob(os.path.join(documents.ROOT, "*.md")),
                     *glob.glob(os.path.join(documents.ROOT, "docs", "*.md"))]:
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", documents.read(page)):
                if "://" not in target:
                    with self.subTest(page=page, target=target):
                        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), target)))


def test_of(blocks):
    def test(self):
        session = documents.Session(self)
        for block in blocks:
            for command, lines in documents.steps(block):
                session.prints(command, lines)

    return test


for page_ in PAGES:
    sessions = documents.fenced(documents.read(page_), "console")
    if sessions:
        setattr(Guide, "test_" + os.path.basename(page_).removesuffix(".md").lower().replace("-", "_"), test_of(sessions))

if __name__ == "__main__":
    wisp.main()
