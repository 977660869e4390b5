;; SPDX-License-Identifier: Apache-2.0
;; Imports an interface that nobody here has.
(component
  (import "acme:rocket/engine@1.2.3" (instance $engine (export "ignite" (func))))
  (core func $ignite (canon lower (func $engine "ignite")))
  (core module $Program
    (import "host" "ignite" (func))
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $program (instantiate $Program (with "host" (instance (export "ignite" (func $ignite))))))
  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $runner (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $runner)))
