    ;; Answers "dirty" when it finds anything of another request: memory that is not zero, globals that have changed, more
    ;; memory. Then it leaves as much behind as it can. Ends by the path: /t traps, /g grows its memory, /w first waits
    ;; for the request's body, anything else just answers.
    (global $own (mut i64) (i64.const 7))
    (func $is-clean (result i32)
      (local $at i32)
      (local.set $at (i32.const 2048))
      (loop $next
        (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 65536))))
      (i32.and (i64.eq (global.get $own) (i64.const 7))
        (i32.and (i32.eqz (global.get $lie)) (i32.eq (memory.size) (i32.const 2)))))
    (func $fault (param $request i32) (param $out i32)
      (local $end i32) (local $input i32)
      (local.set $end (i32.load8_u offset=1 (i32.load (i32.const 1028))))
      (if (i32.eqz (call $is-clean))
        (then
          (i32.store (i32.const 16) (i32.const 0x74726964)) ;; "dirt"
          (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 5)) (return)))
      (memory.fill (i32.const 2048) (i32.const 0x55) (i32.const 63488))
      (global.set $own (i64.const 9))
      (local.set $input (call $input-of (call $consume (local.get $request))))
      (if (i32.eq (local.get $end) (i32.const 0x74)) (then (unreachable)))
      (if (i32.eq (local.get $end) (i32.const 0x67)) (then (drop (memory.grow (i32.const 1)))))
      (if (i32.eq (local.get $end) (i32.const 0x77))
        (then (call $input.read (local.get $input) (i64.const 1) (i32.const 1024))))
      (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 7))
      ;; The handles stay, and so does this.
      (global.set $lie (i32.const 1)))
