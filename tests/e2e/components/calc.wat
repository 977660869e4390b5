;; Functions of every sort in two versions of one interface, for `wisp call`: only their types count.
(component
  (type $point (record (field "x" s32) (field "label" (option string))))
  (import "point" (type $point' (eq $point)))
  (import "impl" (instance $impl
    (export "add" (func (param "a" u32) (param "b" u32) (result u32)))
    (export "greet" (func (param "name" string) (result string)))
    (export "negate" (func (param "n" s64) (result s64)))
    (export "nothing" (func))
    (export "fails" (func (result (result u8 (error string)))))))
  (import "move" (func $move (param "points" (list $point')) (result (list $point'))))
  (export "acme:calc/math@1.2.0" (instance $impl))
  (export "acme:calc/math@2.0.0" (instance $impl))
  (export "acme:other/tools" (instance $impl))
  (export "move-all" (func $move)))
