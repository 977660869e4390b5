# SPDX-License-Identifier: Apache-2.0
"""Answers every request with one line of text."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

TEXT = b"Hello from Python!\n"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        headers = Fields.from_list(
            [
                ("content-type", b"text/plain"),
                ("content-length", str(len(TEXT)).encode()),
            ]
        )
        response = OutgoingResponse(headers)
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))

        try:
            with body.write() as stream:
                stream.blocking_write_and_flush(TEXT)
            OutgoingBody.finish(body, None)
        except Err:
            pass  # The client has left: there is nobody to tell.
