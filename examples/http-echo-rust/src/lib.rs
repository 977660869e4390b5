// SPDX-License-Identifier: Apache-2.0
//! What a component can do with a request and a response, a path for each.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, FutureTrailers, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

const HELP: &str = "\
POST /                   your body, as it arrives, and your trailers
POST /splice             the same, the bytes never entering the component
GET  /stream?n=10&size=1024   n pieces of size bytes, length not told in advance
GET  /headers            your request headers
GET  /json               64 KiB of JSON
GET  /status/418         that status
GET  /sleep?ms=1000      answers later
GET  /spin?ms=1000       computes, then answers
GET  /env                environment variables
GET  /trap               panics
";

/// The client or the host ended the exchange: nobody is left to tell.
struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Gone {
        Gone
    }
}

impl From<StreamError> for Gone {
    fn from(_: StreamError) -> Gone {
        Gone
    }
}

struct Echo;

wasip2::http::proxy::export!(Echo);

impl Guest for Echo {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        // Bodies dropped unfinished tell the host that the response is cut short.
        let _ = route(request, out);
    }
}

fn route(request: IncomingRequest, out: ResponseOutparam) -> Result<(), Gone> {
    let target = request.path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));

    match (request.method(), path) {
        (Method::Post, "/") => echo(request, out, copy),
        (Method::Post, "/splice") => echo(request, out, splice),
        (_, "/") => text(out, 200, HELP),
        (_, "/stream") => stream(out, number(query, "n", 10), number(query, "size", 1024)),
        (_, "/headers") => text(out, 200, &header_lines(&request)),
        (_, "/json") => answer(out, 200, "application/json", &DOCUMENT),
        (_, "/sleep") => {
            let ms = number(query, "ms", 1000);
            monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)).block();
            text(out, 200, &format!("slept {ms} ms\n"))
        }
        (_, "/spin") => {
            let ms = number(query, "ms", 1000);
            spin(Duration::from_millis(ms));
            text(out, 200, &format!("spun {ms} ms\n"))
        }
        (_, "/env") => {
            let lines: String = std::env::vars()
                .map(|(k, v)| format!("{k}={v}\n"))
                .collect();
            text(out, 200, &lines)
        }
        (_, "/trap") => panic!("asked to"),
        _ => match path.strip_prefix("/status/").map(str::parse) {
            Some(Ok(status)) => text(out, status, ""),
            Some(Err(_)) => text(out, 400, "a status is a number\n"),
            None => text(out, 404, "no such path; GET / tells which there are\n"),
        },
    }
}

/// The value of `name=` in a query.
fn number(query: &str, name: &str, default: u64) -> u64 {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(default)
}

/// Sends the head; the body is the caller's to write.
fn start(
    out: ResponseOutparam,
    status: u16,
    fields: &[(&str, &[u8])],
) -> Result<OutgoingBody, Gone> {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_vec()))
        .collect();
    let response = OutgoingResponse::new(Fields::from_list(&fields).unwrap());
    if response.set_status_code(status).is_err() {
        response.set_status_code(400).unwrap();
    }
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    Ok(body)
}

fn answer(out: ResponseOutparam, status: u16, kind: &str, bytes: &[u8]) -> Result<(), Gone> {
    let length = bytes.len().to_string();
    let head = [
        ("content-type", kind.as_bytes()),
        ("content-length", length.as_bytes()),
    ];
    // 204 and 304 have no content, so no length of it either.
    let head = if matches!(status, 204 | 304) {
        &head[..0]
    } else {
        &head[..]
    };
    let body = start(out, status, head)?;
    if !bytes.is_empty() {
        body.write().unwrap().write_all(bytes)?;
    }
    OutgoingBody::finish(body, None).map_err(|_| Gone)
}

fn text(out: ResponseOutparam, status: u16, text: &str) -> Result<(), Gone> {
    answer(out, status, "text/plain", text.as_bytes())
}

fn header_lines(request: &IncomingRequest) -> String {
    let mut lines = String::new();
    for (name, value) in request.headers().entries() {
        writeln!(lines, "{name}: {}", String::from_utf8_lossy(&value)).unwrap();
    }
    lines
}

fn stream(out: ResponseOutparam, n: u64, size: u64) -> Result<(), Gone> {
    let body = start(out, 200, &[("content-type", b"text/plain")])?;
    let mut stream = body.write().unwrap();
    for i in 0..n {
        stream.write_all(&vec![b'a' + (i % 26) as u8; size as usize])?;
        stream.blocking_flush()?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|_| Gone)
}

/// The response starts before the request has ended, and never holds more than a chunk of it.
fn echo(
    request: IncomingRequest,
    out: ResponseOutparam,
    pass: fn(&InputStream, &mut OutputStream) -> Result<(), Gone>,
) -> Result<(), Gone> {
    let headers = request.headers();
    let kinds = headers.get("content-type");
    let kind = kinds
        .first()
        .map_or(&b"application/octet-stream"[..], |kind| kind);
    let announced = headers.get("trailer");
    let mut head = vec![("content-type", kind)];
    head.extend(announced.iter().map(|names| ("trailer", &names[..])));

    let source = request.consume().unwrap();
    let target = start(out, 200, &head)?;

    // Children of the bodies: they must be gone before the bodies are finished.
    let input = source.stream().unwrap();
    let mut output = target.write().unwrap();
    pass(&input, &mut output)?;
    drop((input, output));

    let trailers = trailers(&IncomingBody::finish(source))?;
    OutgoingBody::finish(target, trailers).map_err(|_| Gone)
}

fn copy(input: &InputStream, output: &mut OutputStream) -> Result<(), Gone> {
    loop {
        match input.blocking_read(64 * 1024) {
            Ok(chunk) => output.write_all(&chunk)?,
            Err(StreamError::Closed) => return Ok(()),
            Err(_) => return Err(Gone),
        }
        output.blocking_flush()?;
    }
}

fn splice(input: &InputStream, output: &mut OutputStream) -> Result<(), Gone> {
    loop {
        match output.blocking_splice(input, 64 * 1024) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            Err(_) => return Err(Gone),
        }
    }
    Ok(output.blocking_flush()?)
}

fn trailers(future: &FutureTrailers) -> Result<Option<Fields>, Gone> {
    loop {
        match future.get() {
            None => future.subscribe().block(),
            Some(Ok(Ok(trailers))) => return Ok(trailers.map(|fields| fields.clone())),
            Some(_) => return Err(Gone),
        }
    }
}

fn spin(time: Duration) {
    let start = Instant::now();
    let mut x = 1u64;
    while start.elapsed() < time {
        // Long enough between two looks at the clock that the host must interrupt it.
        for _ in 0..1_000_000 {
            x = std::hint::black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
        }
    }
}

/// Made when compiled, so that serving it measures the way out and nothing else.
static DOCUMENT: [u8; 64 * 1024] = document();

const fn document() -> [u8; 64 * 1024] {
    const ROW: &[u8; 64] =
        b",{\"id\":0000,\"name\":\"an item\",\"price\":12.5,\"tags\":[\"a\",\"b\",\"c\"]}\n";
    let mut bytes = [0; 64 * 1024];
    let mut row = 0;
    while row < 1024 {
        let mut i = 0;
        while i < 64 {
            bytes[row * 64 + i] = ROW[i];
            i += 1;
        }
        let id = 1000 + row;
        bytes[row * 64 + 7] = b'0' + (id / 1000) as u8;
        bytes[row * 64 + 8] = b'0' + (id / 100 % 10) as u8;
        bytes[row * 64 + 9] = b'0' + (id / 10 % 10) as u8;
        bytes[row * 64 + 10] = b'0' + (id % 10) as u8;
        row += 1;
    }
    bytes[0] = b'[';
    bytes[64 * 1024 - 1] = b']';
    bytes
}
