# SPDX-License-Identifier: Apache-2.0
"""Object stores by nats-py, for objects_test.py:  objects_peer.py URL put|get|names|info|delete BUCKET [NAME [FILE]]"""

import asyncio
import json
import sys

import nats


async def main(url, verb, bucket, name=None, file=None):
    client = await nats.connect(url)
    store = await client.jetstream().object_store(bucket)
    if verb == "put":
        with open(file, "rb") as data:
            await store.put(name, data)
    elif verb == "get":
        with open(file, "wb") as data:
            await store.get(name, writeinto=data)
    elif verb == "names":
        print(json.dumps(sorted(info.name for info in await store.list(ignore_deletes=True))))
    elif verb == "info":
        info = await store.get_info(name)
        print(json.dumps([info.name, info.size, info.chunks, info.digest]))
    elif verb == "delete":
        await store.delete(name)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
