    ;; Is never done with being instantiated.
    (func $fault (param $request i32) (param $out i32))
    (func $main (loop $for-ever (br $for-ever)))
    (start $main)
