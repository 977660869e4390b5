    ;; Takes all the memory it is given, a MiB at a time, writes to each page, and tells how many MiB it got.
    (func $fault (param $request i32) (param $out i32)
      (local $pages i32) (local $mib i32) (local $page i32)
      (block $full
        (loop $more
          (local.set $pages (memory.grow (i32.const 16)))
          (br_if $full (i32.eq (local.get $pages) (i32.const -1)))
          (local.set $mib (i32.add (local.get $mib) (i32.const 1)))
          (local.set $page (i32.const 0))
          (loop $touch
            (i32.store8
              (i32.mul (i32.add (local.get $pages) (local.get $page)) (i32.const 65536)) (i32.const 1))
            (local.set $page (i32.add (local.get $page) (i32.const 1)))
            (br_if $touch (i32.lt_u (local.get $page) (i32.const 16))))
          (br $more)))
      (i32.store8 (i32.const 16) (i32.add (i32.const 48) (i32.div_u (local.get $mib) (i32.const 1000))))
      (i32.store8 (i32.const 17)
        (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $mib) (i32.const 100)) (i32.const 10))))
      (i32.store8 (i32.const 18)
        (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $mib) (i32.const 10)) (i32.const 10))))
      (i32.store8 (i32.const 19) (i32.add (i32.const 48) (i32.rem_u (local.get $mib) (i32.const 10))))
      (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 4)))
