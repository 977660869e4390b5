;; Refers to types of other interfaces without giving them a name, which WIT has to.
(component
  (import "my:app/types@1.0.0" (instance $types
    (export "atlas" (type (sub resource)))
    (type $point' (record (field "x" u8)))
    (export "point" (type (eq $point')))))
  (alias export $types "atlas" (type $atlas))
  (alias export $types "point" (type $point))
  (import "my:app/api@1.0.0" (instance
    (alias outer 1 $atlas (type $atlas))
    (alias outer 1 $point (type $point))
    (export "atlas" (func))
    (export "find" (func (param "in" (borrow $atlas)) (param "at" $point) (result (own $atlas))))))
  (import "draw" (func (param "at" $point)))
  (import "inner" (instance $inner
    (type $size' u64)
    (export "size" (type (eq $size')))))
  (alias export $inner "size" (type $size))
  (import "grow" (func (param "by" $size)))
  (import "my:app/again@1.0.0" (instance
    (alias outer 1 $size (type $size))
    (export "size" (type $mine (eq $size)))
    (export "grow" (func (param "by" $mine)))))
)
