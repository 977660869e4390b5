// SPDX-License-Identifier: Apache-2.0
//! A counter and a store over HTTP: each path calls one function of wasi:keyvalue.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ world: "keyvalue", path: "wit", generate_all });

use wasi::keyvalue::atomics::increment;
use wasi::keyvalue::batch::{delete_many, get_many, set_many};
use wasi::keyvalue::store::{open, Bucket, Error};

struct Keyvalue;

wasip2::http::proxy::export!(Keyvalue);

/// Status and text.
type Answer = (u16, String);

/// The query of a request; nothing in it is encoded.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Query<'a> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect())
    }

    fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(have, _)| *have == name);
        found.map(|(_, value)| value.to_string()).collect()
    }

    fn get(&self, name: &str, otherwise: &str) -> String {
        self.all(name).into_iter().next().unwrap_or(otherwise.into())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn all_keys(bucket: &Bucket) -> Result<Vec<String>, Error> {
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let page = bucket.list_keys(cursor)?;
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            keys.sort();
            return Ok(keys);
        }
    }
}

fn get_all(bucket: &Bucket, keys: &[String]) -> Result<String, Error> {
    let line = |found: Option<(String, Vec<u8>)>| match found {
        Some((key, value)) => format!("{key}={}", text(&value)),
        None => "-".into(),
    };
    let lines: Vec<String> = get_many(bucket, keys)?.into_iter().map(line).collect();
    Ok(lines.join("\n"))
}

fn set_all(bucket: &Bucket, query: &Query) -> Result<(), Error> {
    let values = query.all("value").into_iter().map(String::into_bytes);
    let pairs: Vec<(String, Vec<u8>)> = query.all("key").into_iter().zip(values).collect();
    set_many(bucket, &pairs)
}

fn answer(path: &str, query: &Query) -> Result<Answer, Error> {
    let bucket = open(&query.get("bucket", "default"))?;
    let key = query.get("key", "key");
    let done = |()| (200, "done".into());
    Ok(match path {
        "/" => (200, increment(&bucket, "asked", 1)?.to_string()),
        "/increment" => {
            let delta = query.get("delta", "1").parse().unwrap_or(1);
            (200, increment(&bucket, &key, delta)?.to_string())
        }
        "/get" => match bucket.get(&key)? {
            Some(value) => (200, text(&value)),
            None => (404, "no such key".into()),
        },
        "/set" => bucket.set(&key, query.get("value", "").as_bytes()).map(done)?,
        "/delete" => bucket.delete(&key).map(done)?,
        "/exists" => (200, bucket.exists(&key)?.to_string()),
        "/keys" => (200, all_keys(&bucket)?.join("\n")),
        "/get-many" => (200, get_all(&bucket, &query.all("key"))?),
        "/set-many" => set_all(&bucket, query).map(done)?,
        "/delete-many" => delete_many(&bucket, &query.all("key")).map(done)?,
        _ => (404, "no such path".into()),
    })
}

impl Guest for Keyvalue {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, mut text) = answer(path, &Query::parse(query)).unwrap_or_else(|error| match error {
            Error::Other(text) => (502, text),
            Error::NoSuchStore => (502, "no such store".into()),
            Error::AccessDenied => (502, "access denied".into()),
        });
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).unwrap();
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));

        let stream = body.write().unwrap();
        // An error from here on means that the client has left: there is nobody to tell.
        let sent = text.as_bytes().chunks(4096);
        if sent.map(|part| stream.blocking_write_and_flush(part)).all(|sent| sent.is_ok()) {
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
