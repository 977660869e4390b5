;; SPDX-License-Identifier: Apache-2.0
;; Imports a function that we have, with another type.
(component
  (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u32)))))
  (core func $random (canon lower (func $random "get-random-u64")))
  (core module $Program
    (import "host" "random" (func (result i32)))
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $program (instantiate $Program (with "host" (instance (export "random" (func $random))))))
  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $runner (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $runner)))
