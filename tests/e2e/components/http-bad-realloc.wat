    ;; Its realloc points outside of its memory.
    (func $fault (param $request i32) (param $out i32)
      (global.set $lie (i32.const -16))
      (call $request.path (local.get $request) (i32.const 1024)))
