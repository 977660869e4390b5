;; SPDX-License-Identifier: Apache-2.0
;; Exports wasi:cli/run with a function of another type.
(component
  (core module $Program (func (export "run") (param i32) (result i32) (i32.const 0)))
  (core instance $program (instantiate $Program))
  (func $run (param "speed" u32) (result u32) (canon lift (core func $program "run")))
  (instance $runner (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $runner)))
