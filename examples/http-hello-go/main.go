// SPDX-License-Identifier: Apache-2.0

// Answers every request with one line of text.
package main

import "unsafe"

const text = "Hello from Go!\n"

//go:wasmexport wasi:http/incoming-handler@0.2.12#handle
func handle(request, out int32) {
	dropIncomingRequest(request)

	response := newOutgoingResponse(fields(
		"content-type", "text/plain",
		"content-length", "15",
	))
	body := must(func(result unsafe.Pointer) { outgoingResponseBody(response, result) })
	responseOutparamSet(out, 0, response, 0, 0, 0, 0, 0, 0)

	stream := must(func(result unsafe.Pointer) { outgoingBodyWrite(body, result) })
	var written, finished result
	blockingWriteAndFlush(stream, unsafe.Pointer(unsafe.StringData(text)), int32(len(text)), unsafe.Pointer(&written))
	dropOutputStream(stream)
	// A failure means that the client has left: there is nobody to tell.
	if written.tag == 0 {
		outgoingBodyFinish(body, 0, 0, unsafe.Pointer(&finished))
	}
}

// A reactor: the host calls handle, not main.
func main() {}
