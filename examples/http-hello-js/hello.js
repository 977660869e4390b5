// SPDX-License-Identifier: Apache-2.0
// Answers every request with one line of text.

import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.12";

const encoder = new TextEncoder();
const text = encoder.encode("Hello from JavaScript!\n");

export const incomingHandler = {
  handle(request, out) {
    const headers = Fields.fromList([
      ["content-type", encoder.encode("text/plain")],
      ["content-length", encoder.encode(String(text.length))],
    ]);
    const response = new OutgoingResponse(headers);
    const body = response.body();
    ResponseOutparam.set(out, { tag: "ok", val: response });

    const stream = body.write();
    try {
      stream.blockingWriteAndFlush(text);
      stream[Symbol.dispose]();
      OutgoingBody.finish(body, undefined);
    } catch {
      // The client has left: there is nobody to tell.
    }
  },
};
