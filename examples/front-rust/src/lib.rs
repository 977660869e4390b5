// SPDX-License-Identifier: Apache-2.0
//! An HTTP front of other things: each path calls another component, or reads what the platform gives.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ world: "front", path: "wit", generate_all });

use acme::calc::ops::{self, Item, Perms, Shape};
use wasi::config::store as config;
use wasi::logging::logging::{log, Level};
use wasmcloud::bus::lattice::{set_link_name, CallTargetInterface};
use wasmcloud::secrets::reveal::reveal;
use wasmcloud::secrets::store::{get as get_secret, SecretValue, SecretsError};

struct Front;

wasip2::http::proxy::export!(Front);

/// Status and text.
type Answer = (u16, String);

/// The query of a request, decoded.
struct Query(Vec<(String, String)>);

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        bytes.push(match b {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
                let digits = std::str::from_utf8(&digits).unwrap_or("");
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Query {
    fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(have, _)| have == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    fn get(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default()
    }

    fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_default()
    }
}

fn add(query: &Query) -> Answer {
    (200, ops::add(query.number("a"), query.number("b")).to_string())
}

fn echo_item(query: &Query) -> Answer {
    let item = Item {
        name: query.text("name"),
        price: query.number("price"),
        tags: query.all("tag"),
        note: query.get("note"),
    };
    (200, format!("{:?}", ops::echo_item(&item)))
}

fn describe(query: &Query) -> Answer {
    let shape = match (query.get("radius"), query.get("text")) {
        (Some(_), _) => Shape::Circle(query.number("radius")),
        (None, Some(text)) => Shape::Text(text),
        (None, None) => Shape::Point,
    };
    let perms = query.all("perm").iter().fold(Perms::empty(), |perms, perm| {
        perms | Perms::from_name(&perm.to_uppercase()).unwrap_or(Perms::empty())
    });
    let mark = query.text("mark").chars().next().unwrap_or('-');
    let (words, bytes) = ops::describe(&shape, perms, mark);
    (200, format!("{words} {bytes:?}"))
}

fn fail(query: &Query) -> Answer {
    match ops::fail(&query.text("reason")) {
        Ok(number) => (200, number.to_string()),
        Err(reason) => (422, reason),
    }
}

/// One value, or all of them.
fn read_config(query: &Query) -> Answer {
    let Some(key) = query.get("key") else {
        return match config::get_all() {
            Ok(pairs) => (200, pairs.iter().map(|(k, v)| format!("{k}={v}\n")).collect()),
            Err(error) => (500, format!("{error:?}")),
        };
    };
    match config::get(&key) {
        Ok(Some(value)) => (200, value),
        Ok(None) => (404, format!("no configuration `{key}`")),
        Err(error) => (500, format!("{error:?}")),
    }
}

fn read_secret(query: &Query) -> Answer {
    match get_secret(&query.text("name")).map(|secret| reveal(&secret)) {
        Ok(SecretValue::String(text)) => (200, text),
        Ok(SecretValue::Bytes(bytes)) => (200, format!("{bytes:?}")),
        Err(SecretsError::NotFound) => (404, "no such secret".into()),
        Err(error) => (500, format!("{error:?}")),
    }
}

fn write_log(query: &Query) -> Answer {
    let level = match query.text("level").as_str() {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        "critical" => Level::Critical,
        _ => Level::Info,
    };
    log(level, &query.text("context"), &query.text("message"));
    (200, "logged".into())
}

/// Adds by the link of this name.
fn add_by_link(query: &Query) -> Answer {
    match set_link_name(&query.text("name"), vec![CallTargetInterface::new("acme", "calc", "ops")]) {
        Ok(()) => add(query),
        Err(error) => (409, error),
    }
}

fn answer(path: &str, query: &Query) -> Answer {
    match path {
        "/" => (200, "front".into()),
        "/add" => add(query),
        "/echo" => echo_item(query),
        "/concat" => (200, ops::concat(&query.all("part"))),
        "/describe" => describe(query),
        "/fail" => fail(query),
        "/trap" => {
            ops::trap();
            (200, "nothing happened".into())
        }
        "/count" => (200, format!("{} {}", ops::count(), ops::count())),
        "/sleep" => {
            ops::sleep(query.number("ms"));
            (200, "slept".into())
        }
        "/config" => read_config(query),
        "/secret" => read_secret(query),
        "/log" => write_log(query),
        "/link" => add_by_link(query),
        _ => (404, "no such path".into()),
    }
}

impl Guest for Front {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, mut text) = answer(path, &Query::parse(query));
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
