// SPDX-License-Identifier: Apache-2.0
//! Asks other servers. The header `x-target` says which: a URL.
//!
//!     /many     x-count requests at once; a line for each answer
//!     /leave    x-count requests, and leaves without waiting
//!     others    the request itself: method, body and trailers go there, the answer comes back, both as they come

use std::fmt::Write as _;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, FutureTrailers, IncomingBody, IncomingRequest,
    IncomingResponse, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions,
    ResponseOutparam, Scheme,
};
use wasip2::io::poll::{poll, Pollable};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

struct Proxy;

wasip2::http::proxy::export!(Proxy);

impl Guest for Proxy {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.as_str() {
            "/many" => many(&request, out),
            "/leave" => leave(&request, out),
            _ => proxy(&request, out),
        }
    }
}

fn header(request: &IncomingRequest, name: &str) -> Option<String> {
    let values = request.headers().get(name);
    values
        .first()
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

fn number(request: &IncomingRequest, name: &str) -> Option<u64> {
    header(request, name)?.parse().ok()
}

/// What is to be asked, as the headers of our own request say it.
fn make_request(request: &IncomingRequest, method: &Method) -> Result<OutgoingRequest, String> {
    let target = header(request, "x-target").ok_or("no x-target")?;
    let (scheme, rest) = target.split_once("://").ok_or("no URL")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let fields = Fields::new();
    for name in ["content-length", "content-type", "x-note"] {
        for value in request.headers().get(name) {
            fields
                .append(name, &value)
                .map_err(|error| format!("{error:?}"))?;
        }
    }
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_string()),
    };
    let outgoing = OutgoingRequest::new(fields);
    outgoing.set_method(method).map_err(|()| "the method")?;
    outgoing
        .set_scheme(Some(&scheme))
        .map_err(|()| "the scheme")?;
    outgoing
        .set_authority(Some(authority))
        .map_err(|()| "the authority")?;
    outgoing
        .set_path_with_query(Some(path))
        .map_err(|()| "the path")?;
    Ok(outgoing)
}

fn options(request: &IncomingRequest) -> Option<RequestOptions> {
    let ms = number(request, "x-first-byte-ms")?;
    let options = RequestOptions::new();
    options
        .set_first_byte_timeout(Some(ms * 1_000_000))
        .unwrap();
    Some(options)
}

fn send(
    request: &IncomingRequest,
    outgoing: OutgoingRequest,
) -> Result<FutureIncomingResponse, String> {
    outgoing_handler::handle(outgoing, options(request)).map_err(name_of)
}

fn name_of(code: ErrorCode) -> String {
    format!("{code:?}")
}

fn text(out: ResponseOutparam, status: u16, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().unwrap();
    for piece in text.as_bytes().chunks(4096) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

// --- several at once ---

fn size_of(response: &IncomingResponse) -> Result<u64, String> {
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut size = 0;
    loop {
        match stream.blocking_skip(65536) {
            Ok(n) => size += n,
            Err(StreamError::Closed) => return Ok(size),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

fn ask_many(request: &IncomingRequest) -> Result<Vec<FutureIncomingResponse>, String> {
    (0..number(request, "x-count").unwrap_or(2))
        .map(|_| send(request, make_request(request, &Method::Get)?))
        .collect()
}

/// In the order in which they answer.
fn collect(mut futures: Vec<FutureIncomingResponse>) -> String {
    let mut lines = String::new();
    while !futures.is_empty() {
        let pollables: Vec<Pollable> = futures.iter().map(|future| future.subscribe()).collect();
        let ready = poll(&pollables.iter().collect::<Vec<_>>());
        drop(pollables);
        for &at in ready.iter().rev() {
            let future = futures.swap_remove(at as usize);
            match future.get().unwrap().unwrap() {
                Ok(response) => match size_of(&response) {
                    Ok(size) => writeln!(lines, "{} {size}", response.status()).unwrap(),
                    Err(error) => writeln!(lines, "{} {error}", response.status()).unwrap(),
                },
                Err(code) => writeln!(lines, "{}", name_of(code)).unwrap(),
            }
        }
    }
    lines
}

fn many(request: &IncomingRequest, out: ResponseOutparam) {
    match ask_many(request) {
        Ok(futures) => text(out, 200, &collect(futures)),
        Err(error) => text(out, 502, &error),
    }
}

fn leave(request: &IncomingRequest, out: ResponseOutparam) {
    match ask_many(request) {
        Ok(futures) => {
            text(out, 200, "left\n");
            // One is dropped, the others are left to whoever cleans up.
            let mut futures = futures.into_iter();
            drop(futures.next());
            futures.for_each(std::mem::forget);
        }
        Err(error) => text(out, 502, &error),
    }
}

// --- one, as it comes ---

enum Step {
    Moved,
    WaitsForInput,
    WaitsForRoom,
    Ended,
    Broken,
}

/// A body on its way from one side to the other. The streams come first: they are dropped before their bodies.
struct Flow {
    from: Option<InputStream>,
    to: Option<OutputStream>,
    source: Option<IncomingBody>,
    sink: Option<OutgoingBody>,
    trailers: Option<FutureTrailers>,
    is_over: bool,
}

impl Flow {
    fn new(source: IncomingBody, sink: OutgoingBody) -> Flow {
        Flow {
            from: Some(source.stream().unwrap()),
            to: Some(sink.write().unwrap()),
            source: Some(source),
            sink: Some(sink),
            trailers: None,
            is_over: false,
        }
    }

    fn step(&self) -> Step {
        let (from, to) = (self.from.as_ref().unwrap(), self.to.as_ref().unwrap());
        let room = match to.check_write() {
            Ok(0) => return Step::WaitsForRoom,
            Ok(room) => room,
            Err(_) => return Step::Broken,
        };
        match from.read(room.min(65536)) {
            Ok(bytes) if bytes.is_empty() => Step::WaitsForInput,
            Ok(bytes) => match to.write(&bytes) {
                Ok(()) => Step::Moved,
                Err(_) => Step::Broken,
            },
            Err(StreamError::Closed) => Step::Ended,
            Err(_) => Step::Broken,
        }
    }

    /// Moves what can be moved, and gives what there is to wait for.
    fn advance(&mut self) -> Option<Pollable> {
        if self.is_over {
            return None;
        }
        while self.trailers.is_none() {
            match self.step() {
                Step::Moved => continue,
                Step::WaitsForInput => return Some(self.from.as_ref().unwrap().subscribe()),
                Step::WaitsForRoom => return Some(self.to.as_ref().unwrap().subscribe()),
                Step::Ended => {
                    self.from = None;
                    self.to = None;
                    self.trailers = Some(IncomingBody::finish(self.source.take().unwrap()));
                }
                Step::Broken => {
                    // What is dropped unfinished is seen to be broken at the other end.
                    *self = Flow {
                        from: None,
                        to: None,
                        source: None,
                        sink: None,
                        trailers: None,
                        is_over: true,
                    };
                    return None;
                }
            }
        }
        let future = self.trailers.as_ref().unwrap();
        match future.get() {
            None => Some(future.subscribe()),
            Some(trailers) => {
                self.is_over = true;
                let trailers = trailers.unwrap();
                if let Ok(trailers) = trailers {
                    let copy = trailers.as_ref().map(|fields| fields.clone());
                    let _ = OutgoingBody::finish(self.sink.take().unwrap(), copy);
                }
                None
            }
        }
    }
}

/// The head of the answer is ours, too.
fn begin_answer(out: ResponseOutparam, response: &IncomingResponse) -> Flow {
    let fields = Fields::new();
    for (name, value) in response.headers().entries() {
        // Those that concern the connection are not ours to set.
        let _ = fields.append(&name, &value);
    }
    let answer = OutgoingResponse::new(fields);
    answer.set_status_code(response.status()).unwrap();
    let sink = answer.body().unwrap();
    ResponseOutparam::set(out, Ok(answer));
    Flow::new(response.consume().unwrap(), sink)
}

fn proxy(request: &IncomingRequest, out: ResponseOutparam) {
    let outgoing = match make_request(request, &request.method()) {
        Ok(outgoing) => outgoing,
        Err(error) => return text(out, 400, &error),
    };
    let mut there = Flow::new(request.consume().unwrap(), outgoing.body().unwrap());
    let future = match send(request, outgoing) {
        Ok(future) => future,
        Err(error) => return text(out, 502, &error),
    };
    let mut out = Some(out);
    let mut response = None;
    let mut back: Option<Flow> = None;
    loop {
        let mut pollables = Vec::new();
        pollables.extend(there.advance());
        match &mut back {
            Some(back) => {
                pollables.extend(back.advance());
                if back.is_over {
                    return;
                }
            }
            None => match future.get() {
                None => pollables.push(future.subscribe()),
                Some(Ok(Ok(answer))) => {
                    back = Some(begin_answer(out.take().unwrap(), &answer));
                    response = Some(answer);
                    continue;
                }
                Some(Ok(Err(code))) => return text(out.take().unwrap(), 502, &name_of(code)),
                Some(Err(())) => unreachable!(),
            },
        }
        if !pollables.is_empty() {
            poll(&pollables.iter().collect::<Vec<_>>());
        }
        let _ = &response;
    }
}
