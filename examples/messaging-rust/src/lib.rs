// SPDX-License-Identifier: Apache-2.0
//! Answers messages, and sends them for whoever asks over HTTP.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ world: "messaging", path: "wit", generate_all });

use exports::wasmcloud::messaging::handler;
use wasmcloud::messaging::consumer::{publish, request};
use wasmcloud::messaging::types::BrokerMessage;

struct Messaging;

export!(Messaging);
wasip2::http::proxy::export!(Messaging);

const TIMEOUT_MS: u32 = 5000;

impl handler::Guest for Messaging {
    /// The text in capitals goes back to where the reply is wanted, or on to `heard`.
    fn handle_message(message: BrokerMessage) -> Result<(), String> {
        let body = message.body.to_ascii_uppercase();
        if body == b"FAIL" {
            return Err("that is no message".into());
        }
        let subject = message.reply_to.unwrap_or("heard".into());
        publish(&BrokerMessage { subject, body, reply_to: None })
    }
}

/// `/SUBJECT?TEXT` asks and gives the answer; `/publish/SUBJECT?TEXT` only tells.
fn answer(target: &str) -> Result<String, String> {
    let (path, text) = target.split_once('?').unwrap_or((target, ""));
    let path = path.trim_start_matches('/');
    if let Some(subject) = path.strip_prefix("publish/") {
        let subject = subject.to_string();
        publish(&BrokerMessage { subject, body: text.into(), reply_to: None })?;
        return Ok("published".into());
    }
    let reply = request(path, text.as_bytes(), TIMEOUT_MS)?;
    Ok(String::from_utf8_lossy(&reply.body).into_owned())
}

impl Guest for Messaging {
    fn handle(incoming: IncomingRequest, out: ResponseOutparam) {
        let target = incoming.path_with_query().unwrap_or_default();
        let (status, mut text) = match answer(&target) {
            Ok(text) => (200, text),
            Err(text) => (502, text),
        };
        text.push('\n');
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
