// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"unsafe"
)

// The functions of wasi:http/types and wasi:io/streams in their flattened form, as the canonical ABI has it.

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-request
func dropIncomingRequest(request int32)

//go:wasmimport wasi:http/types@0.2.12 [static]fields.from-list
func fieldsFromList(entries unsafe.Pointer, length int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [constructor]outgoing-response
func newOutgoingResponse(headers int32) int32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-response.body
func outgoingResponseBody(response int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [static]response-outparam.set
func responseOutparamSet(out, isErr, response, _ int32, _ int64, _, _, _, _ int32)

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-body.write
func outgoingBodyWrite(body int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [static]outgoing-body.finish
func outgoingBodyFinish(body, hasTrailers, trailers int32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [method]output-stream.blocking-write-and-flush
func blockingWriteAndFlush(stream int32, bytes unsafe.Pointer, length int32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]output-stream
func dropOutputStream(stream int32)

// A result<own<T>, E>, with room for the largest E in use, error-code.
type result struct {
	tag    uint8
	handle int32
	_      [5]uint64
}

func must(call func(unsafe.Pointer)) int32 {
	var r result
	call(unsafe.Pointer(&r))
	if r.tag != 0 {
		panic("refused by the host")
	}
	return r.handle
}

// fields makes a fields resource of names and values in turn.
func fields(strings ...string) int32 {
	// Guest pointers have 32 bits, though Go's have 64.
	list := make([][2]uint32, len(strings))
	for i, s := range strings {
		list[i] = [2]uint32{uint32(uintptr(unsafe.Pointer(unsafe.StringData(s)))), uint32(len(s))}
	}
	handle := must(func(result unsafe.Pointer) {
		fieldsFromList(unsafe.Pointer(&list[0]), int32(len(list)/2), result)
	})
	runtime.KeepAlive(strings)
	return handle
}

// Results of unknown size: here only the text inside an error-code, which nobody reads. Kept as long as the instance
// lives, which is one request.
var results [][]uint64

//go:wasmexport cabi_realloc
func cabiRealloc(_ unsafe.Pointer, _, _, size int32) unsafe.Pointer {
	block := make([]uint64, (size+7)/8)
	results = append(results, block)
	return unsafe.Pointer(unsafe.SliceData(block))
}
