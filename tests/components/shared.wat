;; Two components in one: `inner` defines a resource and is instantiated twice, `outer` uses the first of them.
(component
  (import "log" (func $log (param "level" u8)))
  (component $inner
    (import "log" (func $log (param "level" u8)))
    (core module $libc
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
      (func (export "dtor") (param i32)))
    (core instance $libc (instantiate $libc))
    (type $counter (resource (rep i32) (dtor (core func $libc "dtor"))))
    (core func $new (canon resource.new $counter))
    (core func $log' (canon lower (func $log)))
    (core module $impl
      (import "env" "new" (func $new (param i32) (result i32)))
      (import "env" "log" (func (param i32)))
      (func (export "make") (result i32) (call $new (i32.const 7)))
      (func (export "label") (param i32) (result i32) unreachable))
    (core instance $impl (instantiate $impl
      (with "env" (instance (export "new" (func $new)) (export "log" (func $log'))))))
    (export $counter' "counter" (type $counter))
    (func (export "make") (result (own $counter')) (canon lift (core func $impl "make")))
    (func (export "[method]counter.label") (param "self" (borrow $counter')) (result string)
      (canon lift (core func $impl "label") (memory (core memory $libc "memory")) string-encoding=utf16)))
  (instance $a (instantiate $inner (with "log" (func $log))))
  (instance $b (instantiate $inner (with "log" (func $log))))
  (component $outer
    (import "counters" (instance $counters
      (export "counter" (type $counter (sub resource)))
      (export "make" (func (result (own $counter))))))
    (alias export $counters "counter" (type $counter))
    (core func $make (canon lower (func $counters "make")))
    (core func $drop (canon resource.drop $counter))
    (core module $m
      (import "env" "make" (func $make (result i32)))
      (import "env" "drop" (func $drop (param i32)))
      (func (export "run") (call $drop (call $make))))
    (core instance $i (instantiate $m
      (with "env" (instance (export "make" (func $make)) (export "drop" (func $drop))))))
    (func (export "run") (canon lift (core func $i "run"))))
  (instance $c (instantiate $outer (with "counters" (instance $a))))
  (export "test:a/counters" (instance $a))
  (export "test:b/counters" (instance $b))
  (export "run" (func $c "run"))
  (export "log-again" (func $log)))
