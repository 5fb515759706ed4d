#!/usr/bin/env python3
"""A client of the old protocol (olog.py), written for the tests from the description of that protocol.

    python3 old_client.py HUB:PORT TOKEN DEVICE FOLDER

It needs the package `websockets`: Debian's, or the newest. It reports the log files of FOLDER, as the old client did:
a task is `ok` by its `.log`, and `err` by its `.err` or `.scanerr`. After a disconnection it connects again.
What it receives, it prints, one line for each message.
"""

import asyncio
import hashlib
import json
import os
import sys
import time

import websockets

DAY = 24 * 3600


def pack(payload, token):
    timestamp = time.time()
    checksum = hashlib.sha256((payload + str(timestamp) + token).encode()).hexdigest()
    return json.dumps({"payload": payload, "timestamp": timestamp, "checksum": checksum})


def unpack(text, token):
    message = json.loads(text)
    payload, timestamp = message["payload"], message["timestamp"]
    if abs(time.time() - timestamp) > 10:
        raise ValueError(f"the clock of the hub differs: {text}")
    if hashlib.sha256((payload + str(timestamp) + token).encode()).hexdigest() != message["checksum"]:
        raise ValueError(f"the checksum is wrong: {text}")
    return payload


def scan(folder):
    tasks = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            stem, suffix = os.path.splitext(name)
            changed = os.stat(path).st_mtime
            if suffix.lower() not in (".log", ".err", ".scanerr") or time.time() - changed > DAY:
                continue
            between = stem.split("@")
            task = between[1] if len(between) > 2 and between[1] else stem
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
            tasks[task] = {
                "state": "ok" if suffix.lower() == ".log" else "err",
                "logdate": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(changed)),
                "detail": text if len(text) <= 100 else text[:50] + "..." + text[-50:],
            }
    return tasks


async def session(hub, token, device, folder):
    async with websockets.connect(f"ws://{hub}") as socket:
        await socket.send(pack(device, token))
        async for text in socket:
            payload = unpack(text, token)
            print(payload, flush=True)
            if payload == "ping":
                await socket.send(pack("pong", token))
            elif payload == "report now":
                await socket.send(pack(json.dumps(scan(folder)), token))


async def client(*told):
    while True:
        try:
            await session(*told)
            print("closed", flush=True)
        except (OSError, ValueError, websockets.exceptions.WebSocketException) as error:
            print(f"error: {error!r}", flush=True)
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(client(*sys.argv[1:5]))
