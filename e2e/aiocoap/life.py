"""The life of a thing that speaks CoAP, over whatever transport its URI names; prints what it saw as JSON."""

import asyncio
import json
import sys

import aiocoap
from aiocoap import Message
from aiocoap.numbers.codes import DELETE, FETCH, GET, POST, PUT

base, path = sys.argv[1], sys.argv[2]
result = {}


async def ask(context, code, uri=path, **options):
    request = context.request(Message(code=code, uri=f"{base}/{uri}", **options))
    return await asyncio.wait_for(request.response, 15)


async def observed(request, count):
    values = []
    async for notification in request.observation:
        values.append(notification.payload.decode())
        if len(values) == count:
            return values


async def main():
    context = await aiocoap.Context.create_client_context()
    result["created"] = str((await ask(context, PUT, payload=b"one", content_format=0)).code)
    result["changed"] = str((await ask(context, PUT, payload=b"two", content_format=0)).code)
    value = await ask(context, GET)
    result["value"] = [str(value.code), value.opt.content_format, value.payload.decode()]
    result["valid"] = str((await ask(context, GET, etags=[value.opt.etag])).code)
    result["published"] = str((await ask(context, POST, payload=b"event")).code)

    large = b"".join(b"%07d;" % line for line in range(2_000))
    result["large"] = str((await ask(context, PUT, f"{path}/large", payload=large, content_format=0)).code)
    result["same"] = (await ask(context, GET, f"{path}/large")).payload == large

    request = context.request(Message(code=GET, uri=f"{base}/{path}", observe=0))
    first = await asyncio.wait_for(request.response, 15)
    result["observed"] = [first.payload.decode()]
    values = asyncio.create_task(observed(request, 2))
    await asyncio.sleep(0)
    for value in [b"three", b"four"]:
        await ask(context, PUT, payload=value, content_format=0)
    result["observed"] += await asyncio.wait_for(values, 15)
    request.observation.cancel()

    links = (await ask(context, GET, f".well-known/core?href=/{path}*")).payload.decode()
    result["links"] = sorted(link.split(">")[0].lstrip("<") for link in links.split(",") if link)
    result["deleted"] = str((await ask(context, DELETE)).code)
    result["gone"] = str((await ask(context, GET)).code)
    await context.shutdown()
    print(json.dumps(result))


asyncio.run(main())
