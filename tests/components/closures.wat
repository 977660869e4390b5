;; Component, instance and function types as types, and components as arguments.
(component
  (component $taker
    (type $i (instance (export "r" (type $r (sub resource))) (export "f" (func (result (own $r))))))
    (import "i" (type (eq $i)))
    (type $c (component (import "f" (func)) (export "g" (func (param "x" u8)))))
    (import "c" (type (eq $c)))
    (type $f (func (param "x" u8)))
    (import "f" (type (eq $f))))
  (type $i (instance (export "r" (type $r (sub resource))) (export "f" (func (result (own $r))))))
  (type $c (component (import "f" (func)) (export "g" (func (param "x" u8)))))
  (type $f (func (param "x" u8)))
  (instance (instantiate $taker (with "i" (type $i)) (with "c" (type $c)) (with "f" (type $f))))

  ;; A component that asks for less and gives more than the type says.
  (component $maker
    (core module $m (func (export "f")) (func (export "g") (param i32)))
    (core instance $i (instantiate $m))
    (func (export "g") (param "x" u8) (canon lift (core func $i "g")))
    (func (export "extra") (canon lift (core func $i "f"))))
  (component $user
    (import "maker" (component $maker (import "f" (func)) (export "g" (func (param "x" u8)))))
    (import "f" (func $f))
    (instance $made (instantiate $maker (with "f" (func $f))))
    (export "made" (instance $made)))
  (import "f" (func $f'))
  (instance $user (instantiate $user (with "maker" (component $maker)) (with "f" (func $f'))))
  (export "made" (instance $user "made")))
