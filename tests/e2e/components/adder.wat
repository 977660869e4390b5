;; A component without imports whose functions can be called from elsewhere.
(component
  (core module $code
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "trap") (result i32) (unreachable)))
  (core instance $core (instantiate $code))
  (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $core "add")))
  (func $trap (result u32) (canon lift (core func $core "trap")))
  (instance $math (export "add" (func $add)) (export "trap" (func $trap)))
  (export "acme:calc/math@1.2.0" (instance $math)))
