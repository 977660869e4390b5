// SPDX-License-Identifier: Apache-2.0
//! A file server over HTTP: PUT, GET, HEAD and DELETE of /CONTAINER/OBJECT, GET of /CONTAINER for a list. Bodies go
//! through as they come, whatever their size.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

wit_bindgen::generate!({
    world: "blobs",
    path: "wit",
    with: { "wasi:io/streams@0.2.12": wasip2::io::streams },
    generate_all,
});

use wasi::blobstore::blobstore::{
    container_exists, copy_object, create_container, delete_container, get_container, move_object, Container,
};
use wasi::blobstore::types::{IncomingValue, ObjectId, OutgoingValue};

struct Blobs;

wasip2::http::proxy::export!(Blobs);

/// What is answered: a status with a text, or an object's bytes.
enum Answer {
    Text(u16, String),
    Object(IncomingValue),
}

fn done() -> Result<Answer, String> {
    Ok(Answer::Text(200, "done".into()))
}

/// All of `from` to `to`, waiting for either.
fn pass_on(from: &InputStream, to: &OutputStream) -> Result<u64, String> {
    let mut size = 0;
    loop {
        match to.blocking_splice(from, 64 * 1024) {
            Ok(n) => size += n,
            Err(StreamError::Closed) => return Ok(size),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

fn put(container: &Container, object: &str, request: &IncomingRequest) -> Result<Answer, String> {
    let value = OutgoingValue::new_outgoing_value();
    let target = value.outgoing_value_write_body().map_err(|()| "the value has no body")?;
    container.write_data(object, &value)?;
    let body = request.consume().map_err(|()| "the request has no body")?;
    let source = body.stream().map_err(|()| "the request has no body")?;
    let passed_on = pass_on(&source, &target);
    drop(source);
    drop(target);
    IncomingBody::finish(body);
    // Without `finish` nothing is stored.
    let size = passed_on?;
    OutgoingValue::finish(value)?;
    Ok(Answer::Text(201, format!("{size} bytes")))
}

fn list(container: &Container) -> Result<Answer, String> {
    let stream = container.list_objects()?;
    let mut names = Vec::new();
    loop {
        let (some, is_over) = stream.read_stream_object_names(100)?;
        names.extend(some);
        if is_over {
            return Ok(Answer::Text(200, names.join("\n")));
        }
    }
}

/// "bytes=START-END", the last byte included.
fn range_of(request: &IncomingRequest) -> Option<(u64, u64)> {
    let value = request.headers().get("range").into_iter().next()?;
    let (start, end) = std::str::from_utf8(&value).ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((start.parse().ok()?, end.parse::<u64>().ok()?.checked_add(1)?))
}

fn with_object(request: &IncomingRequest, container: &str, object: &str, query: &str) -> Result<Answer, String> {
    let id = |container: &str, object: &str| ObjectId { container: container.into(), object: object.into() };
    if let (Method::Post, Some((verb, target))) = (request.method(), query.split_once('=')) {
        let target = id(container, target);
        match verb {
            "copy" => copy_object(&id(container, object), &target)?,
            "move" => move_object(&id(container, object), &target)?,
            _ => return Ok(Answer::Text(400, "copy or move".into())),
        }
        return done();
    }
    let container = get_container(container)?;
    match request.method() {
        Method::Put => put(&container, object, request),
        Method::Delete => container.delete_object(object).and_then(|()| done()),
        Method::Get | Method::Head if !container.has_object(object)? => {
            Ok(Answer::Text(404, "no such object".into()))
        }
        Method::Get if query == "info" => {
            let info = container.object_info(object)?;
            Ok(Answer::Text(200, format!("{}/{} {} bytes", info.container, info.name, info.size)))
        }
        Method::Get => {
            let (start, end) = range_of(request).unwrap_or((0, u64::MAX));
            container.get_data(object, start, end).map(Answer::Object)
        }
        Method::Head => done(),
        _ => Ok(Answer::Text(405, "no such method".into())),
    }
}

fn with_container(method: Method, name: &str, query: &str) -> Result<Answer, String> {
    match method {
        Method::Put => create_container(name).and_then(|_| done()),
        Method::Delete if query == "clear" => get_container(name)?.clear().and_then(|()| done()),
        Method::Delete => delete_container(name).and_then(|()| done()),
        Method::Get if !container_exists(name)? => Ok(Answer::Text(404, "no such container".into())),
        Method::Get => list(&get_container(name)?),
        _ => Ok(Answer::Text(405, "no such method".into())),
    }
}

fn send(answer: Answer, out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    if let Answer::Text(status, _) = answer {
        response.set_status_code(status).unwrap();
    }
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().unwrap();
    let sent = match answer {
        Answer::Text(_, text) => stream.blocking_write_and_flush(text.as_bytes()).map_err(|_| String::new()),
        Answer::Object(value) => IncomingValue::incoming_value_consume_async(value)
            .and_then(|source| pass_on(&source, &stream))
            .map(|_| ()),
    };
    drop(stream);
    // A body that was broken off must not look whole.
    if sent.is_ok() {
        let _ = OutgoingBody::finish(body, None);
    }
}

impl Guest for Blobs {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let path = path.trim_start_matches('/');
        let answer = match path.split_once('/') {
            Some((container, object)) => with_object(&request, container, object, query),
            None => with_container(request.method(), path, query),
        };
        send(answer.unwrap_or_else(|error| Answer::Text(502, error)), out);
    }
}
