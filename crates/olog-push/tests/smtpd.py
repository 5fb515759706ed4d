"""A real mail server (aiosmtpd) that does what a test asks of it: the settings are one JSON object, the first argument.

It writes its port as the first line, then each letter it took as one line of JSON.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

settings = json.loads(sys.argv[1])


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in settings.get("refused", []):
            return "550 5.1.1 no such user here"
        if address in settings.get("busy", []):
            return "450 4.2.0 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        letter = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or settings.get("tls") == "implicit",
            "user": settings["user"] if session.authenticated else None,
            "text": envelope.original_content.decode("ascii"),
        }
        print(json.dumps(letter), flush=True)
        if settings.get("drops"):
            server.transport.abort()
        return "250 2.0.0 Ok: queued as 4XyZ"


class Server(SMTP):
    async def _handle_client(self):
        await asyncio.sleep(settings.get("greets_after", 0))
        await super()._handle_client()


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (settings["user"].encode(), settings["password"].encode())
    return AuthResult(success=good, handled=False)


context = None
if settings.get("tls"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings["cert"], settings["key"])
implicit = settings.get("tls") == "implicit"
options = {}
if settings.get("user"):
    options = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not implicit}


def serve():
    starttls = None if implicit else context
    return Server(Handler(), tls_context=starttls, require_starttls=starttls is not None, hostname="localhost",
                  data_size_limit=settings.get("size", 33554432), **options)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, "127.0.0.1", 0, ssl=context if implicit else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    # As long as the test holds on to it.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
