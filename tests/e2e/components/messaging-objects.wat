;; SPDX-License-Identifier: Apache-2.0
;; The code of a component of messaging-objects.wit: a message's bytes go back to where the reply is wanted; "fail" is
;; refused; "trap" traps.
(module
  (import "wasmcloud:messaging/types@0.3.0" "[constructor]message" (func $new (param i32 i32) (result i32)))
  (import "wasmcloud:messaging/types@0.3.0" "[method]message.data" (func $data (param i32 i32)))
  (import "wasmcloud:messaging/types@0.3.0" "[resource-drop]message" (func $drop (param i32)))
  (import "wasmcloud:messaging/request-reply@0.3.0" "reply" (func $reply (param i32 i32 i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 4096))
  (data (i32.const 64) "that is no message")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  ;; 0: where data goes; 16: what reply says; 32: our result
  (func (export "wasmcloud:messaging/incoming-handler@0.3.0#handle") (param $message i32) (result i32)
    (local $word i32)
    (call $data (local.get $message) (i32.const 0))
    (if (i32.eq (i32.load (i32.const 4)) (i32.const 4))
      (then (local.set $word (i32.load (i32.load (i32.const 0))))))
    (if (i32.eq (local.get $word) (i32.const 0x70617274)) (then unreachable))
    (if (i32.eq (local.get $word) (i32.const 0x6c696166))
      (then
        (call $drop (local.get $message))
        (i32.store (i32.const 32) (i32.const 1))
        (i32.store (i32.const 36) (i32.const 3))
        (i32.store (i32.const 40) (i32.const 64))
        (i32.store (i32.const 44) (i32.const 18))
        (return (i32.const 32))))
    (call $reply (local.get $message) (call $new (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.const 16))
    (call $drop (local.get $message))
    (i32.const 16)))
