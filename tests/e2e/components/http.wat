;; SPDX-License-Identifier: Apache-2.0
;; Frame of the HTTP components of these tests. GET /ok is answered here; everything else is $fault's, which takes the
;; place of the line "BODY" and may use the helpers below.
(component
  (import "wasi:io/error@0.2.0" (instance $io-error
    (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $error))

  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "input-stream" (type $input-stream (sub resource)))
    (export "output-stream" (type $output-stream (sub resource)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $input-stream)) (param "len" u64)
            (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output-stream)) (param "contents" (list u8))
            (result (result (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input-stream))
  (alias export $streams "output-stream" (type $output-stream))

  (import "wasi:http/types@0.2.0" (instance $http
    (alias outer 1 $input-stream (type $outer-input-stream))
    (alias outer 1 $output-stream (type $outer-output-stream))
    (export "input-stream" (type $input-stream (eq $outer-input-stream)))
    (export "output-stream" (type $output-stream (eq $outer-output-stream)))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $incoming-request (sub resource)))
    (export "incoming-body" (type $incoming-body (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "outgoing-body" (type $outgoing-body (sub resource)))
    (export "response-outparam" (type $response-outparam (sub resource)))
    (type $header-error' (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header-error')))
    (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls')))
    (type $size' (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $size (eq $size')))
    (type $error-code' (variant
      (case "DNS-timeout") (case "DNS-error" $dns)
      (case "destination-not-found") (case "destination-unavailable")
      (case "destination-IP-prohibited") (case "destination-IP-unroutable")
      (case "connection-refused") (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout") (case "connection-limit-reached")
      (case "TLS-protocol-error") (case "TLS-certificate-error") (case "TLS-alert-received" $tls)
      (case "HTTP-request-denied") (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $size))
      (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32)) (case "HTTP-response-header-size" $size)
      (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error")
      (case "loop-detected") (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append"
      (func (param "self" (borrow $fields)) (param "name" string) (param "value" (list u8))
            (result (result (error $header-error)))))
    (export "[method]incoming-request.path-with-query"
      (func (param "self" (borrow $incoming-request)) (result (option string))))
    (export "[method]incoming-request.consume"
      (func (param "self" (borrow $incoming-request)) (result (result (own $incoming-body)))))
    (export "[method]incoming-body.stream"
      (func (param "self" (borrow $incoming-body)) (result (result (own $input-stream)))))
    (export "[constructor]outgoing-response"
      (func (param "headers" (own $fields)) (result (own $outgoing-response))))
    (export "[method]outgoing-response.set-status-code"
      (func (param "self" (borrow $outgoing-response)) (param "status-code" u16) (result (result))))
    (export "[method]outgoing-response.body"
      (func (param "self" (borrow $outgoing-response)) (result (result (own $outgoing-body)))))
    (export "[static]response-outparam.set"
      (func (param "param" (own $response-outparam))
            (param "response" (result (own $outgoing-response) (error $error-code)))))
    (export "[method]outgoing-body.write"
      (func (param "self" (borrow $outgoing-body)) (result (result (own $output-stream)))))
    (export "[static]outgoing-body.finish"
      (func (param "this" (own $outgoing-body)) (param "trailers" (option (own $fields)))
            (result (result (error $error-code)))))))
  (alias export $http "fields" (type $fields))
  (alias export $http "incoming-request" (type $incoming-request))
  (alias export $http "incoming-body" (type $incoming-body))
  (alias export $http "outgoing-response" (type $outgoing-response))
  (alias export $http "outgoing-body" (type $outgoing-body))
  (alias export $http "response-outparam" (type $response-outparam))

  ;; Memory comes first, so that the lowered functions have one. 0 to 65535 is the program's, the rest is realloc's.
  (core module $Memory
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    ;; Not 0: what realloc answers from now on.
    (global $lie (export "lie") (mut i32) (i32.const 0))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (if (global.get $lie) (then (return (global.get $lie))))
      (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
                              (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $fits
        (loop $grow
          (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
          (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
          (br $grow)))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      (local.get $at)))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $fields.new (canon lower (func $http "[constructor]fields")))
  (core func $fields.append (canon lower (func $http "[method]fields.append") (memory $mem)))
  (core func $fields.drop (canon resource.drop $fields))
  (core func $request.path
    (canon lower (func $http "[method]incoming-request.path-with-query") (memory $mem) (realloc $realloc)))
  (core func $request.consume (canon lower (func $http "[method]incoming-request.consume") (memory $mem)))
  (core func $request.drop (canon resource.drop $incoming-request))
  (core func $incoming.stream (canon lower (func $http "[method]incoming-body.stream") (memory $mem)))
  (core func $incoming.drop (canon resource.drop $incoming-body))
  (core func $response.new (canon lower (func $http "[constructor]outgoing-response")))
  (core func $response.status (canon lower (func $http "[method]outgoing-response.set-status-code")))
  (core func $response.body (canon lower (func $http "[method]outgoing-response.body") (memory $mem)))
  (core func $response.drop (canon resource.drop $outgoing-response))
  (core func $outparam.set (canon lower (func $http "[static]response-outparam.set") (memory $mem)))
  (core func $outparam.drop (canon resource.drop $response-outparam))
  (core func $body.write (canon lower (func $http "[method]outgoing-body.write") (memory $mem)))
  (core func $body.finish (canon lower (func $http "[static]outgoing-body.finish") (memory $mem)
    (realloc $realloc)))
  (core func $body.drop (canon resource.drop $outgoing-body))
  (core func $output.write
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $output.drop (canon resource.drop $output-stream))
  (core func $input.read
    (canon lower (func $streams "[method]input-stream.blocking-read") (memory $mem) (realloc $realloc)))
  (core func $input.drop (canon resource.drop $input-stream))

  (core module $Program
    (import "memory" "memory" (memory 2))
    (import "memory" "lie" (global $lie (mut i32)))
    (import "host" "fields.new" (func $fields.new (result i32)))
    (import "host" "fields.append" (func $fields.append (param i32 i32 i32 i32 i32 i32)))
    (import "host" "fields.drop" (func $fields.drop (param i32)))
    (import "host" "request.path" (func $request.path (param i32 i32)))
    (import "host" "request.consume" (func $request.consume (param i32 i32)))
    (import "host" "request.drop" (func $request.drop (param i32)))
    (import "host" "incoming.stream" (func $incoming.stream (param i32 i32)))
    (import "host" "incoming.drop" (func $incoming.drop (param i32)))
    (import "host" "response.new" (func $response.new (param i32) (result i32)))
    (import "host" "response.status" (func $response.status (param i32 i32) (result i32)))
    (import "host" "response.body" (func $response.body (param i32 i32)))
    (import "host" "response.drop" (func $response.drop (param i32)))
    (import "host" "outparam.set" (func $outparam.set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "host" "outparam.drop" (func $outparam.drop (param i32)))
    (import "host" "body.write" (func $body.write (param i32 i32)))
    (import "host" "body.finish" (func $body.finish (param i32 i32 i32 i32)))
    (import "host" "body.drop" (func $body.drop (param i32)))
    (import "host" "output.write" (func $output.write (param i32 i32 i32 i32)))
    (import "host" "output.drop" (func $output.drop (param i32)))
    (import "host" "input.read" (func $input.read (param i32 i64 i32)))
    (import "host" "input.drop" (func $input.drop (param i32)))

    (data (i32.const 0) "ok\n")
    (data (i32.const 16) "faulty\n")
    (data (i32.const 32) "x-name")

    ;; Results that come in memory are put at 1024: the tag of a `result` first, its payload at 1028.
    (func $ok-payload (result i32)
      (if (i32.load8_u (i32.const 1024)) (then (unreachable)))
      (i32.load (i32.const 1028)))

    (func $set (param $out i32) (param $response i32)
      (call $outparam.set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))

    (func $new-response (param $status i32) (result i32)
      (local $response i32)
      (local.set $response (call $response.new (call $fields.new)))
      (if (call $response.status (local.get $response) (local.get $status)) (then (unreachable)))
      (local.get $response))

    (func $body-of (param $response i32) (result i32)
      (call $response.body (local.get $response) (i32.const 1024))
      (call $ok-payload))

    (func $stream-of (param $body i32) (result i32)
      (call $body.write (local.get $body) (i32.const 1024))
      (call $ok-payload))

    (func $print (param $stream i32) (param $at i32) (param $size i32)
      (call $output.write (local.get $stream) (local.get $at) (local.get $size) (i32.const 1024)))

    (func $finish (param $body i32)
      (call $body.finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 1024)))

    ;; A response whose head is on its way; returns its body.
    (func $begin (param $out i32) (param $status i32) (result i32)
      (local $response i32) (local $body i32)
      (local.set $response (call $new-response (local.get $status)))
      (local.set $body (call $body-of (local.get $response)))
      (call $set (local.get $out) (local.get $response))
      (local.get $body))

    ;; A whole response.
    (func $respond (param $out i32) (param $status i32) (param $at i32) (param $size i32)
      (local $body i32) (local $stream i32)
      (local.set $body (call $begin (local.get $out) (local.get $status)))
      (local.set $stream (call $stream-of (local.get $body)))
      (call $print (local.get $stream) (local.get $at) (local.get $size))
      (call $output.drop (local.get $stream))
      (call $finish (local.get $body)))

    (func $consume (param $request i32) (result i32)
      (call $request.consume (local.get $request) (i32.const 1024))
      (call $ok-payload))

    (func $input-of (param $incoming i32) (result i32)
      (call $incoming.stream (local.get $incoming) (i32.const 1024))
      (call $ok-payload))

    (func $is-ok (param $request i32) (result i32)
      (call $request.path (local.get $request) (i32.const 1024))
      (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (return (i32.const 0))))
      (if (i32.ne (i32.load (i32.const 1032)) (i32.const 3)) (then (return (i32.const 0))))
      (i32.eq (i32.load16_u offset=1 (i32.load (i32.const 1028))) (i32.const 0x6b6f)))

    (func (export "handle") (param $request i32) (param $out i32)
      (if (call $is-ok (local.get $request))
        (then (call $respond (local.get $out) (i32.const 200) (i32.const 0) (i32.const 3)) (return)))
      (call $fault (local.get $request) (local.get $out)))

;; BODY
  )
  (core instance $program (instantiate $Program
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "fields.new" (func $fields.new))
      (export "fields.append" (func $fields.append))
      (export "fields.drop" (func $fields.drop))
      (export "request.path" (func $request.path))
      (export "request.consume" (func $request.consume))
      (export "request.drop" (func $request.drop))
      (export "incoming.stream" (func $incoming.stream))
      (export "incoming.drop" (func $incoming.drop))
      (export "response.new" (func $response.new))
      (export "response.status" (func $response.status))
      (export "response.body" (func $response.body))
      (export "response.drop" (func $response.drop))
      (export "outparam.set" (func $outparam.set))
      (export "outparam.drop" (func $outparam.drop))
      (export "body.write" (func $body.write))
      (export "body.finish" (func $body.finish))
      (export "body.drop" (func $body.drop))
      (export "output.write" (func $output.write))
      (export "output.drop" (func $output.drop))
      (export "input.read" (func $input.read))
      (export "input.drop" (func $input.drop))))))

  (func $handle (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))
    (canon lift (core func $program "handle")))
  (component $Handler
    (import "import-incoming-request" (type $incoming-request (sub resource)))
    (import "import-response-outparam" (type $response-outparam (sub resource)))
    (import "import-handle"
      (func $handle (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))))
    (export $incoming-request' "incoming-request" (type $incoming-request))
    (export $response-outparam' "response-outparam" (type $response-outparam))
    (export "handle" (func $handle)
      (func (param "request" (own $incoming-request')) (param "response-out" (own $response-outparam')))))
  (instance $handler (instantiate $Handler
    (with "import-incoming-request" (type $incoming-request))
    (with "import-response-outparam" (type $response-outparam))
    (with "import-handle" (func $handle))))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
