;; SPDX-License-Identifier: Apache-2.0
;; Frame of the commands of these tests: $run takes the place of the line "BODY" and returns 0 for success, 1 for failure.
(component
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit" (func (param "status" (result))))))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $Program
    (import "host" "exit" (func $exit (param i32)))
    (memory 1)
    (export "run" (func $run))
;; BODY
  )
  (core instance $program (instantiate $Program (with "host" (instance (export "exit" (func $exit))))))
  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $runner (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $runner)))
