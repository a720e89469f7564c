"""A CoAP server of aiocoap's on 127.0.0.1: `coap.py PORT [DIRECTORY NAME]`. It prints a JSON line for each request that it
takes. With a directory (a URI) and a name it registers there, from its own socket, and prints how that went."""

import asyncio
import json
import sys

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.resource import Resource, Site, WKCResource


class Taker(Resource):
    """Takes what is posted, and answers as its path says."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.count = 0

    async def render_post(self, request):
        self.count += 1
        line = {
            "path": self.path,
            "query": list(request.opt.uri_query),
            "format": request.opt.content_format and int(request.opt.content_format),
            "payload": request.payload.decode("latin-1"),
        }
        print(json.dumps(line), flush=True)
        if self.path == "no":
            return aiocoap.Message(code=Code.NOT_FOUND, payload=b"no such meter")
        if self.path == "busy" and self.count == 1:
            return aiocoap.Message(code=Code.SERVICE_UNAVAILABLE, max_age=1)
        if self.path == "slow":
            await asyncio.sleep(3)
        if self.path in ("reply", "valve", "slow"):
            return aiocoap.Message(code=Code.CONTENT, payload=b'{"open":true}', content_format=50)
        if self.path == "large":
            return aiocoap.Message(code=Code.CONTENT, payload=b"x" * 5000)
        return aiocoap.Message(code=Code.CHANGED)


async def main():
    port = int(sys.argv[1])
    site = Site()
    site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    for path in ["events", "reply", "no", "busy", "slow", "large", "valve"]:
        site.add_resource([path], Taker(path))
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port))
    print("ready", flush=True)
    if len(sys.argv) > 3:
        uri = sys.argv[2]
        links = b'</valve>;rt="valve",</no>,</slow>;title="a, b",</large>'
        payload = b"" if "/.well-known/" in uri else links
        request = aiocoap.Message(code=Code.POST, uri=f"{uri}?ep={sys.argv[3]}&lt=60", payload=payload)
        if payload:
            request.opt.content_format = 40
        response = await context.request(request).response
        location = "/".join(response.opt.location_path)
        print(f"registered {response.code.dotted} {location} {response.payload.decode()}", flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
