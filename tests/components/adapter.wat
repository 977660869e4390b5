;; The pattern of an adapter: the shim's slot 1 is filled with a function of a module that is instantiated after its user.
(component
  (import "log" (func $log (param "s" string)))
  (core module $main
    (import "env" "log" (func (param i32 i32)))
    (import "env" "adapted" (func))
    (memory (export "memory") 1)
    (func (export "run")))
  (core module $adapter
    (import "main" "memory" (memory 0))
    (import "env" "log" (func (param i32 i32)))
    (func (export "adapted")))
  (core module $shim
    (type $two (func (param i32 i32)))
    (type $none (func))
    (table (export "$imports") 3 3 funcref)
    (func (export "0") (type $two) local.get 0 local.get 1 i32.const 0 call_indirect (type $two))
    (func (export "1") (type $none) i32.const 1 call_indirect (type $none))
    (func (export "2") (type $two) local.get 0 local.get 1 i32.const 2 call_indirect (type $two)))
  (core module $fixup
    (type $two (func (param i32 i32)))
    (type $none (func))
    (import "" "0" (func $0 (type $two)))
    (import "" "1" (func $1 (type $none)))
    (import "" "2" (func $2 (type $two)))
    (import "" "$imports" (table 3 3 funcref))
    (elem (i32.const 0) func $0 $1 $2))
  (core instance $shim (instantiate $shim))
  (core instance $main (instantiate $main (with "env" (instance
    (export "log" (func $shim "0"))
    (export "adapted" (func $shim "1"))))))
  (core instance $adapter (instantiate $adapter
    (with "main" (instance $main))
    (with "env" (instance (export "log" (func $shim "2"))))))
  (core func $log0 (canon lower (func $log) (memory (core memory $main "memory"))))
  (core func $log2 (canon lower (func $log) (memory (core memory $main "memory")) string-encoding=utf16))
  (core instance (instantiate $fixup (with "" (instance
    (export "0" (func $log0))
    (export "1" (func $adapter "adapted"))
    (export "2" (func $log2))
    (export "$imports" (table $shim "$imports"))))))
  (func (export "run") (canon lift (core func $main "run"))))
