;; SPDX-License-Identifier: Apache-2.0
;; Exports nothing that `wisp run` knows.
(component
  (core module $Program (func (export "launch") (result i32) (i32.const 42)))
  (core instance $program (instantiate $Program))
  (func $launch (result u32) (canon lift (core func $program "launch")))
  (instance $pad (export "launch" (func $launch)))
  (export "acme:rocket/pad@1.0.0" (instance $pad))
  (export "abort" (func $launch)))
