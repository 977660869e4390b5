;; A shim that can go, and beside it a module that uses what the main module has.
(component
  (import "log" (func $log (param "s" string)))
  (core module $main
    (import "env" "log" (func (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "help")))
  (core module $second
    (import "main" "memory" (memory 0))
    (import "main" "help" (func))
    (func (export "run")))
  (core module $shim
    (type $two (func (param i32 i32)))
    (table (export "$imports") 1 1 funcref)
    (func (export "0") (type $two) local.get 0 local.get 1 i32.const 0 call_indirect (type $two)))
  (core module $fixup
    (type $two (func (param i32 i32)))
    (import "" "0" (func $0 (type $two)))
    (import "" "$imports" (table 1 1 funcref))
    (elem (i32.const 0) func $0))
  (core instance $shim (instantiate $shim))
  (core instance $main (instantiate $main (with "env" (instance (export "log" (func $shim "0"))))))
  (core instance $second (instantiate $second (with "main" (instance $main))))
  (core func $log' (canon lower (func $log) (memory (core memory $main "memory"))))
  (core instance (instantiate $fixup (with "" (instance
    (export "0" (func $log'))
    (export "$imports" (table $shim "$imports"))))))
  (func (export "run") (canon lift (core func $second "run"))))
