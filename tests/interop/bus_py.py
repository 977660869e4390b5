# SPDX-License-Identifier: Apache-2.0
"""What the official Python client does with a server:  bus_py.py URL [--token T] [--seed FILE] [--tls CA CERT KEY]

As bus_c.c."""
import argparse
import asyncio
import ssl

import nats
import nats.errors

MESSAGES = 100
PATIENCE = 20


async def headers(nc):
    sub = await nc.subscribe("py.*.h")
    await nc.publish("py.x.h", b"hello", headers={"Key": "value"})
    message = await sub.next_msg(PATIENCE)
    assert (message.data, message.headers["Key"]) == (b"hello", "value")
    await sub.unsubscribe()


async def requests(nc):
    async def answer(message):
        await message.respond(b"answer")

    sub = await nc.subscribe("py.service", queue="workers", cb=answer)
    answers = await asyncio.gather(*(nc.request("py.service", b"question", PATIENCE) for _ in range(MESSAGES)))
    assert all(message.data == b"answer" for message in answers)
    await sub.drain()
    for subject in ("py.nobody", "$JS.API.INFO"):
        try:
            await nc.request(subject, b"?", PATIENCE)
        except nats.errors.NoRespondersError:
            continue
        raise AssertionError(f"{subject} was answered")


async def queue(nc):
    counts, done = [0, 0], asyncio.Event()

    def worker(i):
        async def count(message):
            counts[i] += 1
            if sum(counts) == MESSAGES:
                done.set()
        return count

    subs = [await nc.subscribe("py.jobs", queue="workers", cb=worker(i)) for i in range(2)]
    for _ in range(MESSAGES):
        await nc.publish("py.jobs", b"job")
    await asyncio.wait_for(done.wait(), PATIENCE)
    for sub in subs:
        await sub.drain()
    assert sum(counts) == MESSAGES and min(counts) > 10, counts


async def unsubscribe(nc):
    few, all_of_them = await nc.subscribe("py.few"), await nc.subscribe("py.few")
    await few.unsubscribe(limit=2)
    for _ in range(5):
        await nc.publish("py.few", b"x")
    for _ in range(5):
        await all_of_them.next_msg(PATIENCE)
    assert few.pending_msgs == 2, few.pending_msgs


async def sizes(nc):
    sub = await nc.subscribe("py.large")
    await nc.publish("py.large", bytes(nc.max_payload))
    assert len((await sub.next_msg(PATIENCE)).data) == nc.max_payload
    try:
        await nc.publish("py.large", bytes(nc.max_payload + 1))
    except nats.errors.MaxPayloadError:
        return
    raise AssertionError("more than max_payload went out")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--token")
    parser.add_argument("--seed")
    parser.add_argument("--tls", nargs=3)
    arguments = parser.parse_args()
    options = {"allow_reconnect": False, "connect_timeout": PATIENCE}
    if arguments.token:
        options["token"] = arguments.token
    if arguments.seed:
        options["nkeys_seed"] = arguments.seed
    if arguments.tls:
        authority, certificate, key = arguments.tls
        options["tls"] = ssl.create_default_context(cafile=authority)
        options["tls"].load_cert_chain(certificate, key)
    nc = await nats.connect(arguments.url, **options)
    print("ok connect")
    for part in (headers, requests, queue, unsubscribe, sizes):
        await part(nc)
        print("ok", part.__name__)
    await nc.drain()
    print("ok all")


asyncio.run(main())
